"""Modes of Modules, and what they sow."""
