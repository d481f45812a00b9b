"""Timing: warm-up, rounds, statistics, drift and taint. Pure: it knows no runtime and no store."""

from latbench.timing.clock import Clock, HostClock
from latbench.timing.counter_files import CounterFiles
from latbench.timing.drift import Noise, Trend, drift_of, noise, trend
from latbench.timing.estimate import Estimate, Status
from latbench.timing.interleaving import Subject, interleave
from latbench.timing.levels import UNKNOWN_COMPANY, Levelling, levellings
from latbench.timing.probe import CoreProbe, Probe
from latbench.timing.protocol import Protocol
from latbench.timing.rounds import Round, Samples, by_process
from latbench.timing.steady import WarmUp
from latbench.timing.stopping import Outcome, another_process
from latbench.timing.taint import Counters, causes
from latbench.timing.undisturbed import Digest, undisturbed_ms

__all__ = [
    "UNKNOWN_COMPANY",
    "Clock",
    "CoreProbe",
    "CounterFiles",
    "Counters",
    "Digest",
    "Estimate",
    "HostClock",
    "Levelling",
    "Noise",
    "Outcome",
    "Probe",
    "Protocol",
    "Round",
    "Samples",
    "Status",
    "Subject",
    "Trend",
    "WarmUp",
    "another_process",
    "by_process",
    "causes",
    "drift_of",
    "interleave",
    "levellings",
    "noise",
    "trend",
    "undisturbed_ms",
]
