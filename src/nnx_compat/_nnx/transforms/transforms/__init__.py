"""Branches, and functions that are traced without being run."""
