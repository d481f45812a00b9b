"""Predictions for searchers: a filter, and a latency with a gradient."""

from latbench.hooks.expected import ExpectedLatency
from latbench.hooks.filter import LatencyFilter
from latbench.hooks.sampled import SampledLatency

__all__ = ["ExpectedLatency", "LatencyFilter", "SampledLatency"]
