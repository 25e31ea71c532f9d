"""Containers of Modules, and the state of a training loop."""
