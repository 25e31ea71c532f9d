"""Functions over Modules that jax compiles, for one device or for several."""
