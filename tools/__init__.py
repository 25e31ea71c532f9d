"""Tools of this repository: environments, the band, the survey of names."""
