"""Validate: time a few stored measurements again, and say whether the stored table still holds."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

import latbench
from latbench.errors import MissingMeasurementsError
from latbench.profiling.process import Executor
from latbench.profiling.subjects import Subject, block_subjects, network_subjects
from latbench.profiling.sweep import Instance, Sweep
from latbench.spaces import SearchSpace
from latbench.store import JobRow, MeasurementRow, Store
from latbench.target import Target
from latbench.timing import Protocol
from latbench.workflows.checks import Check
from latbench.workflows.measured import leading_protocol
from latbench.workflows.progress import Progress, silent
from latbench.workflows.setting import Kind, Setting
from latbench.workflows.verdict import Comparison, Stored, Verdict, compare, judge

if TYPE_CHECKING:
    import pandas as pd

Tell = Callable[[Mapping[str, Any]], str | None]
"""Returns one condition of a measurement from its provenance, None where it is not told."""


@dataclass(frozen=True)
class Validation:
    """What became of a stored table.

    Attributes:
        stored: the target of the stored measurements.
        measured: the target of the new ones.
        verdict: ``holds``, ``changed``, ``stale`` (another runtime version, processor, setting of
            its clock, or on a card another driver, clock or power cap) or ``unclear``.
        comparisons: the measurements that were taken again.
        checks: all of it in words.
    """

    stored: Target
    measured: Target
    verdict: Verdict
    comparisons: Sequence[Comparison]
    checks: Sequence[Check]


def validate(
    store: Store,
    setting: Setting,
    *,
    count: int = 5,
    space: Mapping[str, Any] | None = None,
    kind: Kind | None = None,
    executor: Executor | None = None,
    progress: Progress = silent,
) -> Validation:
    """Time ``count`` stored measurements, spread over their latencies, in a campaign of their own.

    Args:
        store: holds the table and takes the new measurements.
        setting: which target; it has to be here.
        count: how many to time again.
        space: the spec of a space, to leave out others.
        kind: networks or blocks, to leave out the others.
        executor: runs the worker processes.
        progress: shows how far it is.

    Raises:
        MissingMeasurementsError: the store holds none that could be timed again.
        UnavailableError: the device or the runtime is not here.
    """
    stored = setting.stored(store, space, kind)
    target, instance = dataclasses.replace(setting, runtime=stored.runtime).here()
    frame = _table(store, stored, instance, space, kind)
    chosen = frame.iloc[_spread(len(frame), count)]
    rows: list[Any] = list(chosen.itertuples())
    subjects = {row.workload: _subject(row) for row in rows}
    with progress(f"timing {len(chosen)} of {len(frame)} again") as tick:
        sweep = Sweep(
            store,
            target,
            instance,
            Protocol.named(chosen["protocol"].iloc[-1]) or Protocol.standard(),
            f"validate:{uuid.uuid4().hex[:12]}",
            executor,
            on_progress=tick,
        )
        # What is built otherwise by now would be timed as something else.
        again = _timed(
            store, sweep, [one for id, one in subjects.items() if one and one.workload.id == id]
        )
    comparisons = [compare(_stored(row), again.get(row.workload)) for row in rows]
    newest = rows[int(np.argmax([row.created for row in rows]))]
    then, now = _provenance(store, stored, newest), _provenance_now(again.values())
    # A measurement's own driver: the facts of an instance are those of its first one.
    told = {**_CLOCK, **_OF_A_CARD} if "card" in then or "card" in now else _CLOCK
    conditions = {
        "processor": (_processor(store, newest.instance), instance.facts.get("name")),
        **{name: (tell(then), tell(now)) for name, tell in told.items()},
    }
    verdict, checks = judge(stored, target, conditions, comparisons)
    return Validation(stored, target, verdict, comparisons, checks)


def _table(
    store: Store,
    target: Target,
    instance: Instance,
    space: Mapping[str, Any] | None,
    kind: Kind | None,
) -> pd.DataFrame:
    """Return one row a workload, by latency, of one protocol and one instance.

    The instance is this one, if it was measured. Unstable latencies are left out, unless there are
    no others.
    """
    frame = store.table(kind=kind, space=space, target=target)
    frame = frame[frame["kind"].notna()]
    if frame.empty:
        raise MissingMeasurementsError(
            f"the store holds neither blocks nor networks of a space on {target.label}; measure "
            "some with `latbench profile`"
        )
    instances = set(frame["instance"])
    one = instance.id if instance.id in instances else frame["instance"].iloc[-1]
    frame = frame[frame["instance"] == one]
    frame = frame[frame["protocol"] == leading_protocol(frame)]
    frame = frame.drop_duplicates("workload", keep="last")
    stable = frame[frame["status"] != "unstable"]
    return (frame if stable.empty else stable).sort_values("latency_ms")


def _spread(rows: int, count: int) -> list[int]:
    """Return up to ``count`` places, evenly from the first to the last of ``rows``."""
    return sorted(set(np.linspace(0, rows - 1, min(count, rows)).round().astype(int).tolist()))


def _subject(row: Any) -> Subject | None:
    """Return the subject of a stored row as it is built now; None where it no longer exists."""
    space = _space(row.space)
    if row.kind == "network":
        (subject,) = network_subjects(space, space.check(space.encode(row.key)), int(row.batch))
        return subject
    blocks = [block for block in space.blocks if block.key == row.key]
    found = block_subjects(space, int(row.batch), blocks)
    return found[0] if found else None


@lru_cache(maxsize=8)
def _space(spec: str) -> SearchSpace:
    data = json.loads(spec)
    return latbench.space(data["name"], **data["options"])


def _timed(
    store: Store, sweep: Sweep, subjects: Sequence[Subject]
) -> dict[str, MeasurementRow | None]:
    """Return the new measurement of each workload."""
    result = sweep.run(subjects)
    return {
        subject.workload.id: store.measurement(job)
        for subject, job in zip(subjects, result.jobs, strict=True)
    }


def _stored(row: Any) -> Stored:
    width = (row.high_ms - row.low_ms) / 2 / row.latency_ms
    return Stored(row.kind, row.key, row.latency_ms, width, row.status)


def _processor(store: Store, instance: str) -> str | None:
    facts = next(row.facts for row in store.instances() if row.id == instance)
    name = facts.get("name")
    return None if name is None else str(name)


def _provenance(store: Store, target: Target, row: Any) -> Mapping[str, Any]:
    """Return how the stored measurement of ``row`` was taken."""
    job = store.add_job(JobRow(target.key, row.instance, row.workload, row.protocol))
    measurement = store.measurement(job)
    assert measurement is not None  # it is a row of the table
    return measurement.provenance


def _provenance_now(again: Iterable[MeasurementRow | None]) -> Mapping[str, Any]:
    """Return how the first of the new measurements was taken; empty where there is none."""
    return next((row.provenance for row in again if row is not None), {})


def _clock(provenance: Mapping[str, Any]) -> str | None:
    """Return how the processor's clock was set, None where the system does not tell."""
    governor, turbo_off = provenance.get("governor"), provenance.get("turbo_off")
    told = [] if governor is None else [f"governor {governor}"]
    if turbo_off is not None:
        told.append("turbo off" if turbo_off == "1" else "turbo on")
    return ", ".join(told) or None


def _of_card(provenance: Mapping[str, Any], fact: str, unit: str = "") -> str | None:
    """Return a fact of the card, None where neither the card nor its provenance tells."""
    told = provenance.get("card", {}).get(fact)
    if told is None:
        return None
    return f"{told:g}{unit}" if unit else str(told)


_CLOCK: Mapping[str, Tell] = {"clock": _clock}
_OF_A_CARD: Mapping[str, Tell] = {
    "driver": partial(_of_card, fact="driver"),
    "clock of the card": partial(_of_card, fact="sm_clock_set_mhz", unit=" MHz"),
    "power cap of the card": partial(_of_card, fact="power_cap_w", unit=" W"),
}
"""What must not have changed since: its name, and what tells it from a provenance."""
