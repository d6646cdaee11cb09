"""Records on disk: a plain Zarr v3 tree, written with the standard library and NumPy alone."""
