"""The version of the installed package. pyproject.toml is the one place that names it."""

from importlib.metadata import version

VERSION = version("hourbook")
