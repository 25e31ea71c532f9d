"""Functions over graphs: split and merge, walk, map, copy."""
