"""``latbench profile``: measure into the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

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

if TYPE_CHECKING:
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
@click.option(
    "--model",
    "models",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="F.onnx",
    help="Measure an ONNX file; may be repeated.",
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
    """
    from latbench.profiling.child import Limits
    from latbench.timing import Protocol
    from latbench.workflows import place
    from latbench.workflows import profile as workflow

    wanted = _wanted(space, blocks, networks, repeats, models, seed)
    limits = Limits(timeout, memory_limit)
    with (
        place.opened(executor, settings, limits, note) as there,
        current().open_store() as store,
    ):
        for target, _ in there.targets:
            note(f"measuring on {target.label}")
        result = workflow.profile(
            store,
            there.targets,
            wanted,
            protocol=Protocol.standard() if protocol == "standard" else Protocol.quick(),
            budget_s=budget,
            retry_failed=retry_failed,
            executor=there.executor,
            progress=progress,
        )
    document = {
        "targets": [target.to_dict() for target in result.targets],
        "measured": result.measured,
        "reused": result.reused,
        "failed": result.failed,
        "rows": result.rows,
    }
    emit(document, lambda console: _render(console, result))
    doubtful = [row for row in result.rows if row["status"] in ("unconverged", "unstable")]
    if doubtful:
        note(
            f"{len(doubtful)} of {len(result.rows)} latencies are unconverged or unstable: other "
            "work disturbed the rounds, or they spread too far; `latbench doctor` says what to do"
        )
    if result.failed and not (result.measured or result.reused):
        first = result.failed[0]
        raise LatbenchError(f"nothing could be measured; {first['workload']}: {first['reason']}")


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
    if len(rows) > _SHOWN:
        console.print(f"The first {_SHOWN} of {len(rows)}; `latbench export FILE` writes all.")
    console.print(
        table(
            "Latencies, ms",
            ["what", "runtime", "latency", "low", "high", "90 % of runs", "status"],
            [
                [
                    row["name"],
                    f"{row['target']['runtime']} {row['target']['precision']}",
                    row["latency_ms"],
                    row["low_ms"],
                    row["high_ms"],
                    row["p90_ms"],
                    row["status"],
                ]
                for row in rows[:_SHOWN]
            ],
        )
    )
    for failure in result.failed[:_SHOWN]:
        console.print(f"failed: {failure['workload']}: {failure['reason']}", markup=False)
    console.print(
        f"{result.measured} measured now, {result.reused} were there, {len(result.failed)} failed."
    )
