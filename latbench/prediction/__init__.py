"""What every predictor is made of: checks, calibration, expectation, scores and files."""
