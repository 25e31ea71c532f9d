"""Shardings: of models that are not built, and in metadata of Variables."""
