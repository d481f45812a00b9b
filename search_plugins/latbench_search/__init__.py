"""The searchers bundled with latbench, one module an algorithm."""
