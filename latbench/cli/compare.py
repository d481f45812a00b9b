"""``latbench compare``: true against accumulated latency."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from latbench.cli.options import SpaceRequest, one_target_options, seed_option, space_options
from latbench.cli.output import emit, note, progress, table
from latbench.cli.session import current
from latbench.workflows.setting import Setting, choice_of

_SHOWN = 20
_NO_KERNELS = (
    "The kernels of a network are not shown: a table may have been measured on another machine."
)


@click.command()
@space_options
@click.option(
    "--networks",
    default=20,
    show_default=True,
    type=click.IntRange(min=2),
    metavar="N",
    help="Networks to have measured at least; what is missing is measured now, unless the store "
    "is a table.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="report.html",
    help="Write a report.",
)
@one_target_options
@seed_option
def compare(
    space: SpaceRequest, networks: int, out: Path | None, setting: Setting, seed: int
) -> None:
    """Compare true latencies with sums of block latencies."""
    from latbench.reports import write_comparison
    from latbench.workflows import compare as workflow
    from latbench.workflows.inside import inside
    from latbench.workflows.measured import measured
    from latbench.workflows.reporting import comparison

    with current().open_to_read(create=True) as store:
        built = space.build_for(store)
        target = workflow.complete(store, built, setting, networks, seed, progress)
        found = workflow.compare(measured(store, built, target))
        matching = setting.all_stored(store, built.spec, "network")
        facts = {row.id: row.facts for row in store.instances()}
    choice = choice_of([target, *(other for other in matching if other != target)])
    for sentence in (*choice, *found.measured.notes()):
        note(sentence)
    if out is not None:
        kernels = _NO_KERNELS if store.read_only else inside(found, setting)
        write_comparison(out, comparison(found, facts, kernels))
    document = {
        "rows": found.rows(),
        **found.scores,
        "noise_mape": found.measured.noise_mape,
        "target": target.to_dict(),
    }

    def render(console: Console) -> None:
        rows = found.rows()
        console.print(
            table(
                f"True and accumulated latency on {target.label}",
                ["architecture", "true, ms", "accumulated, ms", "ratio"],
                [list(row.values()) for row in rows[:_SHOWN]],
            )
        )
        bias = found.scores["bias"] or 0.0
        side = "above" if bias > 0 else "below"
        console.print(
            f"{len(rows)} networks: the sum of the blocks is {abs(bias):.2f} % {side} the measured "
            f"latency on average (mean error {found.scores['mape']:.2f} %)."
        )
        noise = found.measured.noise_mape
        if noise is not None:
            console.print(f"The measurements themselves repeat to {noise:.2f} %.")
        if out is not None:
            console.print(f"Report: {out}", markup=False)

    emit(document, render)
