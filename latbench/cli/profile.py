"""``latbench profile``: measure into the store."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from latbench.cli.kernels import kernels_document, render_kernels
from latbench.cli.model_options import model_options
from latbench.cli.options import (
    Budget,
    Memory,
    PlaceName,
    SpaceRequest,
    seed_option,
    space_options,
    target_options,
)
from latbench.cli.output import emit, note, progress, table
from latbench.cli.session import current
from latbench.errors import LatbenchError, UsageError
from latbench.workflows.setting import Setting
from latbench.workflows.side_by_side import column, mean_speedups, rankings, subjects

if TYPE_CHECKING:
    from latbench.spaces.input_shapes import Shapes
    from latbench.workflows.profile import Profiled, Wanted

NETWORKS = 50
REPEATS = 10
_SHOWN = 40


@click.command()
@space_options
@click.option("--blocks", is_flag=True, help="Measure every block of the space.")
@click.option(
    "--networks",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"Measure N sampled networks.  [default: blocks and {NETWORKS} networks]",
)
@click.option(
    "--repeats",
    type=click.IntRange(min=0),
    metavar="N",
    help="Measure N of the networks once more, to tell the noise.  "
    f"[default: a third of them, at most {REPEATS}]",
)
@model_options
@click.option(
    "--kernels",
    is_flag=True,
    help="Tell which kernels the runtime made of each --model, and their times.",
)
@target_options
@click.option("--budget", type=Budget(), metavar="TIME", help="Begin nothing after TIME, as 10min.")
@click.option(
    "--protocol",
    type=click.Choice(["standard", "quick"]),
    default="standard",
    show_default=True,
    help="How to time; quick takes a third of the time and gives wider intervals.",
)
@click.option("--retry-failed", is_flag=True, help="Measure those again that failed before.")
@click.option(
    "--timeout",
    type=Budget(),
    default="5min",
    show_default=True,
    metavar="TIME",
    help="Stop a worker process that has reported nothing for TIME.",
)
@click.option(
    "--memory-limit",
    type=Memory(),
    metavar="SIZE",
    help="Stop a worker process that takes more than SIZE, as 8GiB.  "
    "[default: three quarters of what is available when it starts]",
)
@click.option(
    "--executor",
    type=PlaceName(),
    default="local",
    show_default=True,
    metavar="local|ray|ray://HOST:PORT",
    help="Where to measure: on this machine; through Ray, started here; or on the machines of a "
    "Ray cluster.",
)
@seed_option
def profile(
    space: SpaceRequest,
    blocks: bool,
    networks: int | None,
    repeats: int | None,
    models: tuple[Path, ...],
    shapes: Shapes,
    kernels: bool,
    settings: tuple[Setting, ...],
    budget: float | None,
    protocol: str,
    retry_failed: bool,
    timeout: float,
    memory_limit: int | None,
    executor: str,
    seed: int,
) -> None:
    """Measure blocks, networks or ONNX files into the store.

    What the store holds already is not measured again, so an interrupted command goes on where it
    was. With neither --blocks, --networks nor --model it measures the blocks and 50 networks.

    Several --runtime are measured in turns and printed side by side, with their speed-ups over the
    first one. With --kernels, each --model is compiled once more and run under the runtime's
    profiler, which is slower than what is timed.
    """
    from latbench.profiling.child import Limits
    from latbench.profiling.process import LocalExecutor
    from latbench.runtimes.numerics import GREATEST_RELATIVE_L2
    from latbench.timing import Protocol
    from latbench.workflows import place
    from latbench.workflows import profile as workflow

    current().check_store()
    if kernels and not models:
        raise UsageError("--kernels is for ONNX files; add --model F.onnx")
    wanted = _wanted(space, blocks, networks, repeats, models, seed)
    if kernels and executor != "local":
        raise UsageError(f"--kernels is told on this machine; leave out --executor {executor}")
    wanted = dataclasses.replace(wanted, kernels=kernels, shapes=shapes)
    limits = Limits(timeout, memory_limit)
    with place.opened(executor, settings, limits, note) as there:
        # NAME and NAME:fp32 are one target.
        targets = list({target.key: (target, one) for target, one in there.targets}.values())
        # A file that cannot be read is refused before a store is made.
        prepared = workflow.prepare(wanted, [target.batch for target, _ in targets], progress)
        for target, _ in targets:
            note(f"measuring on {target.label}")
        with current().open_store() as store:
            result = workflow.profile(
                store,
                targets,
                wanted,
                prepared=prepared,
                protocol=Protocol.standard() if protocol == "standard" else Protocol.quick(),
                budget_s=budget,
                retry_failed=retry_failed,
                executor=there.executor,
                describer=LocalExecutor(limits, note),
                progress=progress,
            )
    document = {
        "targets": [target.to_dict() for target in result.targets],
        "measured": result.measured,
        "reused": result.reused,
        "failed": result.failed,
        "rows": result.rows,
    }
    if len(targets) > 1:
        document["speedups"] = mean_speedups(result.rows)
        document["ranking"] = rankings(result.rows)
    if kernels:
        document |= kernels_document(result.compiled)

    def render(console: Console) -> None:
        _render(console, result)
        for compiled in result.compiled:
            render_kernels(console, compiled)

    emit(document, render)
    doubtful = [row for row in result.rows if row["status"] in ("unconverged", "unstable")]
    if doubtful:
        note(
            f"{len(doubtful)} of {len(result.rows)} latencies are unconverged or unstable: other "
            "work disturbed the rounds, or they spread too far; `latbench doctor` says what to do"
        )
    for row in result.rows:
        if row.get("relative_l2", 0.0) > GREATEST_RELATIVE_L2:
            note(
                f"{row['name']} on {column(row['target'])}: its outputs are "
                f"{row['relative_l2'] * 100:.0f} % from those in fp32 (relative L2); see whether "
                "its accuracy still holds"
            )
    if result.failed and not (result.measured or result.reused):
        first = result.failed[0]
        raise LatbenchError(f"nothing could be measured; {first['workload']}: {first['reason']}")
    if kernels and not result.compiled:
        first = result.failed[-1]
        raise LatbenchError(f"no kernels to show; {first['workload']}: {first['reason']}")


def _wanted(
    space: SpaceRequest,
    blocks: bool,
    networks: int | None,
    repeats: int | None,
    models: tuple[Path, ...],
    seed: int,
) -> Wanted:
    from latbench.workflows.profile import Wanted

    asked = blocks or networks is not None
    if models and not asked:
        if space.given:
            raise UsageError(
                "--model alone measures no space; add --blocks or --networks N, or leave --space"
            )
        return Wanted(models=models)
    if not asked:
        blocks, networks = True, NETWORKS
    count = networks or 0
    if repeats is None:
        repeats = min(REPEATS, count // 3)
    if repeats > count:
        raise UsageError(f"--repeats {repeats} is more than the {count} networks to measure")
    return Wanted(space.build(), blocks, count, repeats, models, seed)


def _render(console: Console, result: Profiled) -> None:
    rows = result.rows
    count = len(rows) // len(result.targets)
    if count > _SHOWN:
        console.print(f"The first {_SHOWN} of {count}; `latbench export FILE` writes all.")
    console.print(_side_by_side(rows) if len(result.targets) > 1 else _one_below_the_other(rows))
    for line in _conclusions(rows):
        console.print(line, markup=False)
    for failure in result.failed[:_SHOWN]:
        on = f" on {failure['runtime']}" if len(result.targets) > 1 else ""
        console.print(f"failed: {failure['workload']}{on}: {failure['reason']}", markup=False)
    console.print(
        f"{result.measured} measured now, {result.reused} were there, {len(result.failed)} failed."
    )


def _one_below_the_other(rows: Sequence[Mapping[str, Any]]) -> Table:
    return table(
        "Latencies, ms",
        ["what", "runtime", "latency", "low", "high", "90 % of runs", "status"],
        [
            [
                row["name"],
                column(row["target"]),
                row["latency_ms"],
                row["low_ms"],
                row["high_ms"],
                row["p90_ms"],
                row["status"],
            ]
            for row in rows[:_SHOWN]
        ],
    )


def _side_by_side(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return one row a subject and one column a runtime, as the first column's multiples."""
    runtimes = list(dict.fromkeys(column(row["target"]) for row in rows))
    lines = [
        [group[0]["name"], *(_cell(by_runtime.get(name)) for name in runtimes), _doubts(group)]
        for group in subjects(rows)[:_SHOWN]
        for by_runtime in [{column(row["target"]): row for row in group}]
    ]
    title = f"Latencies, ms, and how many times as fast as {runtimes[0]}"
    return table(title, ["what", *runtimes, "status"], lines)


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None or row["latency_ms"] is None:
        return "–"
    text = f"{row['latency_ms']:#.4g} ±{(row['high_ms'] / row['latency_ms'] - 1) * 100:.1f} %"
    if "speedup" not in row:
        return text
    unclear = "≈" if row["speedup_low"] <= 1 <= row["speedup_high"] else ""
    return f"{text}  {unclear}{row['speedup']:.3g}×"


def _doubts(group: Sequence[Mapping[str, Any]]) -> str:
    states = {row["status"] for row in group}
    if len(states) == 1:
        return str(*states)
    found = (f"{column(row['target'])} {row['status']}" for row in group if row["status"] != "ok")
    return ", ".join(found)


def _conclusions(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for mean in mean_speedups(rows):
        yield (
            f"{mean['runtime']} is {mean['geometric_mean']:.3g}× as fast as {mean['than']}: "
            f"the geometric mean of {mean['subjects']}."
        )
    if any("speedup" in row and row["speedup_low"] <= 1 <= row["speedup_high"] for row in rows):
        yield "≈: the intervals of the two latencies overlap, so neither is faster for certain."
    for pair in rankings(rows):
        correlation = "unknown" if pair["spearman"] is None else f"{pair['spearman']:.3f}"
        yield (
            f"Spearman rank correlation of {pair['networks']} networks between {pair['first']} and "
            f"{pair['second']}: {correlation}."
        )
