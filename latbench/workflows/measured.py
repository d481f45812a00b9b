"""What a store holds of one space on one target, ready for fitting and comparing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from latbench.errors import MissingMeasurementsError
from latbench.spaces import IntArray, SearchSpace
from latbench.store import STATUSES, ReadableStore
from latbench.target import Target
from latbench.timing import Noise, noise

if TYPE_CHECKING:
    import pandas as pd

REPEAT = "repeat"
"""The campaign of second measurements, by which noise is told."""

FEWEST_OF_A_SOURCE = 3
"""The fewest networks from which something can be learned about another target."""

_FEWEST_REPEATS = 5


@dataclass(frozen=True, eq=False)
class Measured:
    """Measurements of one space on one target and one instance of its device, by one protocol.

    Attributes:
        space: the space.
        target: the target.
        blocks: one row a block: ``key, latency_ms, low_ms, high_ms, half_width, status``.
        networks: the same of whole networks.
        X: the architectures of ``networks`` (n, choices).
        repeats: second measurements of some networks.
        protocol: the name of the protocol; None where nothing was measured.
        set_aside: how many rows of that instance other protocols timed, by their names.
        failed: how many blocks and networks have no latency, because measuring them failed.
    """

    space: SearchSpace
    target: Target
    blocks: pd.DataFrame
    networks: pd.DataFrame
    X: IntArray
    repeats: pd.DataFrame
    protocol: str | None = None
    set_aside: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)

    @property
    def block_ms(self) -> dict[str, float]:
        """Latency by block key."""
        return dict(zip(self.blocks["key"], self.blocks["latency_ms"], strict=True))

    @property
    def y(self) -> npt.NDArray[np.float64]:
        """True latency of each network, (n,) in ms."""
        return np.asarray(self.networks["latency_ms"], dtype=np.float64)

    @property
    def twice(self) -> pd.DataFrame:
        """Networks measured twice, ``latency_ms`` and ``latency_ms_again`` by ``key``."""
        return self.networks.merge(self.repeats, on="key", suffixes=("", "_again"))

    @property
    def between_sweeps(self) -> Noise | None:
        """How second measurements agree with the first; None of fewer than 5 networks."""
        both = self.twice
        if len(both) < _FEWEST_REPEATS:
            return None
        return noise(both["latency_ms"].tolist(), both["latency_ms_again"].tolist())

    @property
    def noise_mape(self) -> float | None:
        """What a perfect predictor of this sweep would score, in percent; None without repeats."""
        found = self.between_sweeps
        return None if found is None else found.within

    def notes(self) -> list[str]:
        """Return what a reader must know of the measurements, in sentences."""
        sentences = []
        if self.set_aside:
            others = ", ".join(f"{rows} by {name}" for name, rows in self.set_aside.items())
            sentences.append(
                f"{sum(self.set_aside.values())} rows are set aside, because another protocol "
                f"timed them ({others}); kept is what {self.protocol} timed, which are the most"
            )
        for name, frame in (("blocks", self.blocks), ("networks", self.networks)):
            if failed := self.failed.get(name, 0):
                sentences.append(
                    f"{failed} of {len(frame) + failed} {name} have no latency, because measuring "
                    "them failed; `latbench profile --retry-failed` measures them again"
                )
            doubtful = int((frame["status"] != "ok").sum())
            if doubtful:
                sentences.append(
                    f"{doubtful} of {len(frame)} {name} have a latency that is unconverged or "
                    "unstable; `latbench doctor` says what disturbs this machine"
                )
        return sentences


def measured(store: ReadableStore, space: SearchSpace, target: Target) -> Measured:
    """Return what ``store`` holds of ``space`` on ``target``.

    Of several instances of the device the one measured last counts, and of several protocols the
    one that timed the most networks there (blocks, where there are none; of equally many, the one
    used last): neither are ever mixed. Of several measurements of one subject the newest counts.
    """
    networks, failed_networks = _attempted(store, "network", space, target, "main")
    blocks, failed_blocks = _attempted(store, "block", space, target, "main")
    repeats, _ = _attempted(store, "network", space, target, REPEAT)
    leading = networks if len(networks) else blocks
    instance = protocol = None
    if len(leading):
        instance = leading["instance"].iloc[-1]
        protocol = leading_protocol(leading[leading["instance"] == instance])
    set_aside: Counter[str] = Counter()

    def kept(frame: pd.DataFrame) -> pd.DataFrame:
        there = frame[frame["instance"] == instance]
        other = there["protocol"] != protocol
        set_aside.update(there["protocol"][other].tolist())
        return there[~other].drop_duplicates("key", keep="last").reset_index(drop=True)

    def failures(frame: pd.DataFrame, measured: pd.DataFrame) -> int:
        there = frame[(frame["instance"] == instance) & (frame["protocol"] == protocol)]
        return len(set(there["key"]) - set(measured["key"]))

    networks, blocks, repeats = kept(networks), kept(blocks), kept(repeats)
    failed = {
        "networks": failures(failed_networks, networks),
        "blocks": failures(failed_blocks, blocks),
    }
    rows = [space.encode(key) for key in networks["key"]]
    X = np.array(rows, dtype=np.int64).reshape(len(rows), len(space.choices))
    return Measured(space, target, blocks, networks, X, repeats, protocol, set_aside, failed)


def leading_protocol(frame: pd.DataFrame) -> str:
    """Return the protocol that timed most of ``frame``; of equally many, the one used last."""
    protocol: str = Counter(reversed(frame["protocol"].tolist())).most_common(1)[0][0]
    return protocol


def other_targets(
    store: ReadableStore, space: SearchSpace, target: Target, labels: Sequence[str] = ()
) -> dict[str, Measured]:
    """Return what ``store`` holds of ``space`` on other targets, by label.

    Args:
        store: where to look.
        space: the space.
        target: the one that is left out.
        labels: those wanted; if none, all that have at least three networks.

    Raises:
        MissingMeasurementsError: a wanted one has fewer; the text names those that do not.
    """
    found = {}
    for other in store.targets():
        if other != target:
            source = measured(store, space, other)
            if len(source.y) >= FEWEST_OF_A_SOURCE:
                found[other.label] = source
    for label in labels:
        if label not in found:
            known = "; ".join(found) or "none"
            raise MissingMeasurementsError(
                f"the store has fewer than {FEWEST_OF_A_SOURCE} networks of {space.name} on the "
                f"source {label!r}; it has them on: {known}"
            )
    return {label: found[label] for label in (labels or found)}


def _attempted(
    store: ReadableStore,
    kind: Literal["network", "block"],
    space: SearchSpace,
    target: Target,
    campaign: str,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows with a latency and those without, each oldest first."""
    frame = store.table(
        kind=kind, space=space.spec, target=target, campaign=campaign, statuses=STATUSES
    )
    known = frame["latency_ms"].notna()
    return frame[known], frame[~known]
