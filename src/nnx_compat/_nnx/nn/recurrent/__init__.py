"""Recurrent cells and layers, which came later."""
