"""Contract suites for runtimes, spaces, predictors and searchers; plug-in authors subclass them."""
