"""Normalization layers that came one after the other."""
