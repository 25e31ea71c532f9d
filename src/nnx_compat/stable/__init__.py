"""Frozen APIs: what a version exports never changes once it is released."""
