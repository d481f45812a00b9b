"""The predictors that come with latbench, one module a family."""
