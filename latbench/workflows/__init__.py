"""What the commands call: profile, fit, compare, search and the rest as plain functions."""
