"""One plug-in of each kind for latbench, to copy from."""
