"""The controllers: what each path reads, and its parameters."""
