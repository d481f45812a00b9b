"""Predictions for searchers: a filter, a latency with a gradient, and penalties that use it."""

from latbench.hooks.expected import ExpectedLatency
from latbench.hooks.filter import LatencyFilter
from latbench.hooks.penalties import PENALTIES, Penalty, latency_reward, penalty, unit_below
from latbench.hooks.sampled import SampledLatency, relaxed_latency

__all__ = [
    "PENALTIES",
    "ExpectedLatency",
    "LatencyFilter",
    "Penalty",
    "SampledLatency",
    "latency_reward",
    "penalty",
    "relaxed_latency",
    "unit_below",
]
