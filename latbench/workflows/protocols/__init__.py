"""Papers' protocols, one module each, on the papers' own data."""
