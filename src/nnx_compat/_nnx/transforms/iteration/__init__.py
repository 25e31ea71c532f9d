"""Maps and loops over axes of Modules and arrays."""
