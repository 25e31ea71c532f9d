"""Attention of several heads: the functions beneath it, and the layer."""
