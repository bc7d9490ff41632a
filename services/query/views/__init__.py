"""What is read, and how it becomes an answer: one view a file. Every SQL statement stands above the one function that
runs it."""

from services.query.answers.answers import Answer, visible
from services.query.views.pools import cluster_period, read_pools, read_projects

__all__ = ["Answer", "cluster_period", "read_pools", "read_projects", "visible"]
