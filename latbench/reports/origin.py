"""Where numbers come from: the target, the device and the space, in a box."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from latbench.reports.markup import Markup, definitions, tag
from latbench.target import Target


@dataclass(frozen=True)
class Origin:
    """What a section's latencies belong to.

    Attributes:
        target: the whole target.
        space: the search space, for people.
        device_facts: name -> value of what is known of the machine or card that measured, such as
            ``processor``; None for what could not be read.
    """

    target: Target
    space: str
    device_facts: Mapping[str, object]

    def box(self) -> Markup:
        """Return everything known."""
        target = self.target
        options = ", ".join(f"{name}={value}" for name, value in target.options)
        pairs = {
            "Device": target.device,
            "Runtime": f"{target.runtime} {target.runtime_version}",
            "Precision": target.precision,
            "Batch": str(target.batch),
            "Threads": str(target.threads),
            "Runtime options": options or "none set",
            "Timing": _MODES.get(target.mode, target.mode),
            "Space": self.space,
            **{name: _text(value) for name, value in self.device_facts.items()},
            "Target id": target.key,
        }
        return definitions(pairs.items(), class_="origin")

    def line(self) -> Markup:
        """Return a reminder, for a section after the one with the box."""
        return tag(
            "p", f"Space {self.space} on {self.target.label}, as described above.", class_="aside"
        )


_MODES = {
    "device": "device (time between two events around a run, on the device)",
    "host": "host (wall time around one synchronous run)",
}


def _text(value: object) -> str:
    return "not known" if value is None else str(value)
