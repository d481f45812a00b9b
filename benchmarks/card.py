"""The card of a data set: every number in it is computed from the table beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import latbench
from benchmarks import gpu_facts
from latbench.errors import MissingMeasurementsError
from latbench.spaces import SearchSpace
from latbench.store import STATUSES, ExportedTable
from latbench.target import Target
from latbench.workflows.compare import Compared, compare
from latbench.workflows.measured import REPEAT, Measured, measured
from latbench.workflows.reporting import described
from latbench.workflows.setting import space_words

if TYPE_CHECKING:
    import pandas as pd

PROTOCOLS, COMMAND = "latbench_protocols", "latbench_command"
"""What a data set's file says beside its rows: values by protocol, and how it was measured."""

_SHOWN_REASONS = 5


@dataclass(frozen=True, eq=False)
class _OnTarget:
    """The rows of one target, networks and blocks of the first campaign apart from the repeats."""

    target: Target
    networks: pd.DataFrame
    blocks: pd.DataFrame
    repeats: pd.DataFrame

    @property
    def all(self) -> dict[str, pd.DataFrame]:
        """Each part by what its rows are called."""
        return {"networks": self.networks, "blocks": self.blocks, "repeats": self.repeats}


def card(name: str, table: ExportedTable) -> str:
    """Return the card of the data set ``name`` as Markdown."""
    frame = table.table(campaign=None, statuses=STATUSES, origin=True)
    (spec,) = frame["space"].unique()
    data = json.loads(spec)
    space = latbench.space(data["name"], **data["options"])
    parts = [_on(target, frame) for target in table.targets()]
    sections = [
        _head(name, space, frame),
        _origin(table, frame),
        _how(table, frame),
        *(_target(table, space, part) for part in parts),
        _defects(space, frame, parts),
    ]
    return "\n\n".join(sections) + "\n"


def _on(target: Target, frame: pd.DataFrame) -> _OnTarget:
    rows = frame[frame["target_key"] == target.key]
    main = rows[rows["campaign"] == "main"]
    return _OnTarget(
        target,
        main[main["kind"] == "network"],
        main[main["kind"] == "block"],
        rows[(rows["campaign"] == REPEAT) & (rows["kind"] == "network")],
    )


def _head(name: str, space: SearchSpace, frame: pd.DataFrame) -> str:
    first, last = frame["created"].min(), frame["created"].max()
    runtimes = sorted(
        {f"{a} {b}" for a, b in zip(frame["runtime"], frame["runtime_version"], strict=True)}
    )
    targets = frame["target_key"].nunique()
    return (
        f"# {name}\n\n"
        f"Measured latencies of {described(space.spec)}: {len(frame)} rows on "
        f"{_count(targets, 'target')} of {', '.join(runtimes)}, taken from {first:%Y-%m-%d} to "
        f"{last:%Y-%m-%d} (UTC). In `data.parquet` a row is one subject measured once; "
        "`latbench export` writes such files, and every command that only reads takes one:\n\n"
        "```sh\n"
        f"latbench --store dataset:{name} compare\n"
        "```\n\n"
        f"`latbench.dataset({name!r}).table()` gives it as a DataFrame. The search space is "
        f"`{' '.join(space_words(space.spec))}`. Every number of this page is computed from the "
        "file."
    )


def _origin(table: ExportedTable, frame: pd.DataFrame) -> str:
    lines = []
    for instance in table.instances():
        host = instance.facts.get("host", {})
        named = {
            "device": instance.device,
            "name": instance.facts.get("name"),
            "cores": host.get("physical_cores"),
            "hardware threads": host.get("logical_cores"),
            "caches (L1d, L2, L3)": _sizes(host, "l1d_bytes", "l2_bytes", "l3_bytes"),
            "memory": _sizes(host, "memory_bytes"),
            "instruction sets": " ".join(host.get("instruction_sets", ())) or None,
            "virtual machine": host.get("hypervisor"),
            "C library": host.get("libc"),
            **gpu_facts.of_instance(instance.facts),
        }
        lines += [f"| {key} | {value} |" for key, value in named.items() if value is not None]
        lines.append(f"| instance | {instance.id} |")
    told = [json.loads(text) for text in {json.dumps(one) for one in frame["provenance"]}]
    loads = [one["load"][0] for one in frame["provenance"] if one.get("load")]
    facts = {
        "latbench": _distinct(one.get("latbench") for one in told),
        "Python": _distinct(one.get("python") for one in told),
        **{
            name: _distinct(one.get("packages", {}).get(name) for one in told)
            for name in sorted({name for one in told for name in one.get("packages", {})})
        },
        "cores allowed": _distinct(one.get("affinity") for one in told),
        "governor": _distinct(one.get("governor") for one in told),
        "turbo off": _distinct(one.get("turbo_off") for one in told),
        **gpu_facts.of_processes(frame["provenance"]),
        "load of the machine": f"median {np.median(loads):.2f}, at most {max(loads):.2f}"
        if loads
        else "not told",
    }
    lines += [f"| {key} | {value} |" for key, value in facts.items()]
    return "\n".join(["## Where", "", "| what | value |", "|---|---|", *lines])


def _how(table: ExportedTable, frame: pd.DataFrame) -> str:
    protocols: Mapping[str, Mapping[str, Any] | None] = table.attrs[PROTOCOLS]
    text = ["## How", "", "```sh", str(table.attrs[COMMAND]), "```", ""]
    for name, count in frame["protocol"].value_counts().sort_index().items():
        values = protocols[str(name)]
        told = (
            "whose values are not known to latbench"
            if values is None
            else ", ".join(f"{key} {value}" for key, value in values.items())
        )
        text += [f"Protocol `{name}` ({count} rows): {told}.", ""]
    text.append("`docs/measuring.md` says what the values mean and how a latency is estimated.")
    return "\n".join(text)


def _target(table: ExportedTable, space: SearchSpace, part: _OnTarget) -> str:
    found = measured(table, space, part.target)
    lines = [
        f"| {name} | {_statuses(rows)} | {_spread(rows)} | {_width(rows)} | {_tainted(rows)} |"
        for name, rows in part.all.items()
        if len(rows)
    ]
    text = [
        f"## {part.target.label}",
        "",
        "| what | status | latency in ms: least, median, greatest | median half-width | "
        "median share of tainted rounds |",
        "|---|---|---|---|---|",
        *lines,
        "",
        _noise(found),
    ]
    if found.set_aside:
        text.append(
            f"Noise and comparison are of protocol `{found.protocol}`, which timed the most "
            f"networks; {sum(found.set_aside.values())} rows of other protocols are set aside."
        )
    try:
        text.append(_accumulated(compare(found)))
    except MissingMeasurementsError as missing:
        text.append(f"True and accumulated latency are not compared: {missing}.")
    return "\n".join(text)


def _noise(found: Measured) -> str:
    between = found.between_sweeps
    if between is None:
        return "The noise is not known: fewer than 5 networks were measured twice."
    return (
        f"Noise, from {len(found.twice)} networks measured twice: a predictor that knew what one "
        f"sweep finds would have a mean error of {between.within:.2f} % on it (mape), and of "
        f"{between.single:.2f} % on another sweep; the second measurements are "
        f"{between.shift:+.2f} % from the first ones (median)."
    )


def _accumulated(found: Compared) -> str:
    scores = found.scores
    spearman = scores["spearman"]
    return (
        f"The sum of the blocks (accumulated latency) against {len(found.measured.y)} networks: "
        f"bias {scores['bias']:+.2f} %, mean error {scores['mape']:.2f} %, rank correlation "
        f"{'undefined' if spearman is None else f'{spearman:.3f}'}."
    )


def _defects(space: SearchSpace, frame: pd.DataFrame, parts: Sequence[_OnTarget]) -> str:
    lines = [line for part in parts for line in _of_target(space, part)]
    shared = frame[frame["kind"] == "network"].groupby("workload")["key"].nunique()
    several = int((shared > 1).sum())
    lines.append(
        f"{_count(several, 'network')} {'stands' if several == 1 else 'stand'} for several "
        "architectures, which compute the same after pruning and share one measurement"
        if several
        else "no two architectures share one network"
    )
    constant = [
        str(name)
        for name in frame.columns
        if frame[name].map(repr).nunique() == 1 and name not in ("space", "instance", "device")
    ]
    lines.append(f"columns with one value in all rows: {', '.join(constant) or 'none'}")
    return "\n".join(["## Known defects", "", *(f"- {line}" for line in lines)])


def _of_target(space: SearchSpace, part: _OnTarget) -> Iterator[str]:
    label = part.target.label
    for name, rows in part.all.items():
        doubtful = rows["status"].isin(["unconverged", "unstable"])
        if doubtful.any():
            yield (
                f"{label}: {int(doubtful.sum())} of {len(rows)} {name} are unconverged or unstable"
            )
        failed = rows[rows["status"] == "failed"]
        for reason, count in failed["reason"].value_counts().head(_SHOWN_REASONS).items():
            yield f"{label}: {count} of {len(rows)} {name} failed: {reason}"
        twice = int(rows.duplicated(["instance", "protocol", "key"]).sum())
        if twice:
            yield f"{label}: {twice} rows of {name} repeat a key; the newest counts"
    absent = {block.key for block in space.blocks} - set(
        part.blocks["key"][part.blocks["latency_ms"].notna()]
    )
    if absent:
        yield f"{label}: {len(absent)} of {len(space.blocks)} blocks have no latency"


def _statuses(rows: pd.DataFrame) -> str:
    counts = rows["status"].value_counts()
    return ", ".join(f"{counts[status]} {status}" for status in STATUSES if status in counts)


def _spread(rows: pd.DataFrame) -> str:
    latency = rows["latency_ms"].dropna()
    if latency.empty:
        return "–"
    return ", ".join(f"{value:.4g}" for value in (latency.min(), latency.median(), latency.max()))


def _width(rows: pd.DataFrame) -> str:
    width = rows["half_width"].dropna()
    return "–" if width.empty else f"{100 * width.median():.2f} %"


def _tainted(rows: pd.DataFrame) -> str:
    rounds = rows["rounds"] + rows["tainted"]
    share = (rows["tainted"] / rounds)[rounds > 0]
    return "–" if share.empty else f"{100 * share.median():.0f} %"


def _sizes(host: Mapping[str, Any], *names: str) -> str | None:
    found = [host.get(name) for name in names]
    if not any(found):
        return None
    return ", ".join("–" if size is None else _size(size) for size in found)


def _size(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**10:.0f} KiB"


def _distinct(values: Any) -> str:
    """Return the different values in words, sorted."""
    told = sorted({str(value) for value in values if value is not None})
    return "; ".join(told) or "not told"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
