"""Derivatives, and what is kept for them."""
