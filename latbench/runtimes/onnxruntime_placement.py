"""Which execution provider of ONNX Runtime ran the nodes of a model, from a profile of its session.

ONNX Runtime gives a node that a provider does not take to the next one, and says nothing of it.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

_KERNEL = "_kernel_time"


@dataclass(frozen=True)
class Placement:
    """The nodes that ran: operators by the name of their provider, each as often as it ran."""

    operators: dict[str, Counter[str]]

    @property
    def counts(self) -> dict[str, int]:
        """How many nodes each provider ran; what one compiled as a whole is one node."""
        return {provider: found.total() for provider, found in self.operators.items()}

    def named(self, provider: str) -> str:
        """Return the operators that ``provider`` ran, as text."""
        return ", ".join(sorted(self.operators[provider]))


def placement(profile: Path) -> Placement:
    """Return where the nodes ran in the session whose ``profile`` ONNX Runtime wrote."""
    operators: dict[str, Counter[str]] = {}
    for event in json.loads(profile.read_text(encoding="utf-8")):
        if event["cat"] == "Node" and event["name"].endswith(_KERNEL):
            told = event["args"]
            operators.setdefault(told["provider"], Counter())[told["op_name"]] += 1
    return Placement(operators)
