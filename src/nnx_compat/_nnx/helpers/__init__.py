"""Containers that are Modules, and the state of a training loop.

A container is a Module whose attributes are its elements, so ``split``, ``state`` and
``update`` see what is in it on every release, by the paths of the newest:
``("layers", 0, "kernel")``.

Containers are pytrees of jax from the release on that made Variables such, which is one
before all Modules are.
"""
