"""The target: everything a latency belongs to. Targets are never pooled."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from latbench.errors import ArtefactError

PRECISIONS = ("fp32", "fp16", "bf16", "amp", "int8")


@dataclass(frozen=True)
class Target:
    """A device model with a runtime and all that changes how fast it runs.

    Attributes:
        device: name of the device profile, such as ``cpu`` or ``v100``.
        runtime: registered name of the runtime.
        runtime_version: its exact version.
        precision: the precision asked for; what really ran is kept with each measurement.
        batch: images a run.
        threads: threads the runtime may use for one operator.
        options: further runtime options, sorted by name.
        mode: what the clock covers: ``host`` is wall time around one synchronous run, ``device``
            the time between two events around a run, on the device.
    """

    device: str
    runtime: str
    runtime_version: str
    precision: str = "fp32"
    batch: int = 1
    threads: int = 1
    options: tuple[tuple[str, str], ...] = ()
    mode: str = "host"

    def __post_init__(self) -> None:
        """Sort the options, so that their order makes no other target."""
        object.__setattr__(self, "options", tuple(sorted(self.options)))

    def to_dict(self) -> dict[str, Any]:
        """Return the target as JSON-ready values."""
        return {**dataclasses.asdict(self), "options": dict(self.options)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Target:
        """Return the target that :meth:`to_dict` wrote.

        Raises:
            ArtefactError: a field is missing or unknown.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if set(data) != names:
            raise ArtefactError(
                f"a target has the fields {sorted(names)}, this one has {sorted(data)}; "
                "it was written by another version of latbench"
            )
        return cls(**{**data, "options": tuple(data["options"].items())})

    @property
    def key(self) -> str:
        """A short stable identity: equal targets, equal keys."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return "t1:" + hashlib.sha256(text.encode()).hexdigest()[:24]

    @property
    def label(self) -> str:
        """The target on one line, for people."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        options = "".join(f", {name}={value}" for name, value in self.options)
        return (
            f"{self.device}, {self.runtime} {self.runtime_version} {self.precision}, "
            f"batch {self.batch}, {threads}{options}"
        )
