"""How a latency is taken: every parameter of timing, under one name."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from latbench.errors import UsageError


@dataclass(frozen=True)
class Protocol:
    """The parameters of timing. Two latencies compare only if their protocols agree.

    Attributes:
        version: generation of the method itself; it changes when the code times differently.
        lead_in_runs: runs discarded at the start of a round, and of a turn of the sentinel, because
            clocks fall during gaps and others have had the caches.
        round_ms, round_runs: a round lasts until it holds this much quiet time and this many
            quiet runs,
        round_cap_ms, round_runs_min: but ends after this time, if it holds this many runs.
        probe_every_ms: time between two looks of the probe, unless one sample takes longer.
        probe_wait_ms: a round waits so long at most for a quiet moment between two samples.
        probe_tolerance: relative distance from the core's full speed that counts as quiet.
        rounds_min, rounds_max: rounds of one subject, shared out over its ``processes``.
        half_width: the relative within-run half-width h at which a subject is done; two
            consecutive checks have to agree.
        processes: processes a subject is timed in;
        processes_extra: and so many more at most, while h is too wide but may become narrow.
        warmup_block_runs, warmup_block_ms: a warm-up block holds this many runs and this much
            time, and is cut off at ``round_cap_ms``.
        warmup_window: blocks in each of the two windows that are compared.
        warmup_tolerance: greatest relative trend over both windows that is steady.
        warmup_blur: or, where blocks are noisy, this share of the trend's own standard error.
        warmup_min_ms: wall time since the subject's first run; other subjects' turns count.
        warmup_cap_ms: time spent on the subject alone, after which there is no steady state.
        sentinel_runs: runs of the sentinel before each pass over the subjects.
        drift_floor: relative standard deviation of drift before any repeat is measured.
        drift_repeats: repeats of a subject that count as much as the floor.
        taint_limit: share of tainted rounds above which an estimate is unstable.
        confidence: coverage of the published interval.
        bootstrap: resamples of the bootstrap.
        seed: seed of the bootstrap and of the order of subjects.
    """

    version: str = "p7"
    lead_in_runs: int = 5
    round_ms: float = 8.0
    round_runs: int = 12
    round_cap_ms: float = 30.0
    round_runs_min: int = 5
    probe_every_ms: float = 0.1
    probe_wait_ms: float = 5.0
    probe_tolerance: float = 0.08
    rounds_min: int = 12
    rounds_max: int = 30
    half_width: float = 0.01
    processes: int = 2
    processes_extra: int = 2
    warmup_block_runs: int = 5
    warmup_block_ms: float = 10.0
    warmup_window: int = 5
    warmup_tolerance: float = 0.01
    warmup_blur: float = 0.5
    warmup_min_ms: float = 300.0
    warmup_cap_ms: float = 10_000.0
    sentinel_runs: int = 10
    drift_floor: float = 0.01
    drift_repeats: int = 10
    taint_limit: float = 0.30
    confidence: float = 0.95
    bootstrap: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that no measurement could follow.

        Raises:
            UsageError: a value is of the wrong type or out of its range.
        """
        for field in dataclasses.fields(self):
            self._check(field.name, type(field.default))
        for low, high in (("rounds_min", "rounds_max"), ("round_ms", "round_cap_ms")):
            if getattr(self, low) > getattr(self, high):
                raise UsageError(
                    f"{low} {getattr(self, low)} is above {high} {getattr(self, high)}; "
                    f"lower {low} or raise {high}"
                )

    def _check(self, name: str, kind: Any) -> None:
        value: Any = getattr(self, name)
        if kind is float and type(value) is int:
            value = float(value)
            # 15 and 15.0 are the same protocol and must have the same name.
            object.__setattr__(self, name, value)
        if type(value) is not kind:
            raise UsageError(f"{name} {value!r} is not of type {kind.__name__}; give one")
        if kind is str:
            return
        lowest = _LOWEST.get(name, 1 if kind is int else 0.0)
        if not (math.isfinite(value) and value >= lowest):
            raise UsageError(f"{name} {value} must be finite and at least {lowest}")
        if name in _BELOW_ONE and not 0 < value < 1:
            raise UsageError(f"{name} {value} must lie between 0 and 1, both excluded")

    @property
    def name(self) -> str:
        """The version and a short hash over all values, such as ``p4:3f2a9c01``."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return f"{self.version}:{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    @property
    def rounds_least(self) -> int:
        """Rounds one process gives to each subject at least."""
        return math.ceil(self.rounds_min / self.processes)

    @property
    def rounds_most(self) -> int:
        """Untainted rounds one process gives to each subject at most."""
        return math.ceil(self.rounds_max / self.processes)

    def to_dict(self) -> dict[str, Any]:
        """Return all values by name, fit for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Protocol:
        """Return the protocol of ``data``; what it leaves out keeps its default.

        Raises:
            UsageError: a name is unknown or a value cannot be.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(data).difference(known))
        if unknown:
            raise UsageError(
                f"no protocol value is called {', '.join(unknown)}; known: {', '.join(known)}"
            )
        return cls(**data)

    @classmethod
    def standard(cls) -> Protocol:
        """Return the protocol for figures that are kept."""
        return cls()

    @classmethod
    def quick(cls) -> Protocol:
        """Return a protocol of about a third of the time, for trying things out."""
        return cls(
            round_ms=4.0,
            round_runs=8,
            round_cap_ms=15.0,
            rounds_min=8,
            rounds_max=24,
            half_width=0.02,
            warmup_block_runs=3,
            warmup_block_ms=5.0,
            warmup_window=3,
            warmup_tolerance=0.02,
            warmup_min_ms=150.0,
            warmup_cap_ms=3000.0,
        )

    @classmethod
    def named(cls, name: str | None) -> Protocol | None:
        """Return the standard or the quick protocol if ``name`` is its :attr:`name`."""
        known = {protocol.name: protocol for protocol in (cls.standard(), cls.quick())}
        return None if name is None else known.get(name)


_LOWEST: dict[str, float] = {
    "lead_in_runs": 0,
    "processes_extra": 0,
    "seed": 0,
    "sentinel_runs": 1,
    "warmup_window": 2,
}
_BELOW_ONE = ("half_width", "probe_tolerance", "warmup_tolerance", "taint_limit", "confidence")
