"""Transforms of functions over Modules."""
