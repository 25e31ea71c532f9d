"""Graphs: taken apart, put together, walked and mapped."""
