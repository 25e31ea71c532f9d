"""Layers with a kernel that came later."""
