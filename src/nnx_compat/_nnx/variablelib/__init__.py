"""Variables: their types, metadata and settings."""
