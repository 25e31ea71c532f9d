"""Tools of this repository: environments, jax ranges, the survey of names."""
