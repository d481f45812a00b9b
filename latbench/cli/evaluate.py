"""``latbench evaluate``: a paper's protocol on the paper's data."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from latbench.cli.options import seed_option
from latbench.cli.output import emit, progress, table
from latbench.errors import UsageError
from latbench.workflows.protocols.rows import Request, Row

DATA_VARIABLE = "LATBENCH_EVAL_DATA"

_MEANS = {
    "mape": "mape",
    "rmse_ms": "rmse",
    "within_1": "±1 %",
    "within_5": "±5 %",
    "within_10": "±10 %",
    "spearman": "spearman",
    "kendall": "kendall",
}
"""Scores by their names, and how the columns are headed that hold their means."""


@click.command()
@click.argument("protocol", metavar="PROTOCOL")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    envvar=DATA_VARIABLE,
    metavar="PATH",
    help=f"Folder with the paper's table, or the table itself (or {DATA_VARIABLE}).",
)
@click.option(
    "--labels",
    type=click.IntRange(min=2),
    multiple=True,
    help="Networks measured on the target device; may be repeated.  [default: the protocol's]",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Draws of the labels to average over.",
)
@seed_option
def evaluate(
    protocol: str, data: Path | None, labels: tuple[int, ...], seeds: int, seed: int
) -> None:
    """Run a paper's protocol; our row stands under the published ones.

    \b
    PROTOCOL is one of
      help-nb201     HELP's Table 3: six devices, NAS-Bench-201
      help-fbnet     HELP's Table 2: three devices, FBNet
      help-ofa       HELP's Once-for-all table: twelve columns of GPUs
      nasflat-fbnet  NASFLAT's six tasks on FBNet
      nasflat-nb201  NASFLAT's task ND on NAS-Bench-201
      nb201-900      900 cells a device, as BRP-NAS has them
      accel-nasbench Accel-NASBench's split: eight columns of devices
      neusight       NeuSight's kernels: GPUs that were measured, and others
      proxyless-lut  ProxylessNAS' table of a phone: sums of blocks

    Spread is the standard deviation between seeds. The last table has the means of the scores that
    every prediction of latencies gets; the JSON document has them by device, and more.
    """
    from latbench.workflows import evaluate as workflow

    chosen = workflow.find(protocol)
    if data is None:
        raise UsageError(
            f"no data: give --data PATH, or set {DATA_VARIABLE}, to the folder of the paper's table"
        )
    with progress(protocol) as report:
        rows = workflow.evaluate(protocol, Request(data, labels, seeds, seed, report))
    document = {"protocol": protocol, "rows": [dataclasses.asdict(row) for row in rows]}

    def render(console: Console) -> None:
        for score in chosen.shown:
            shown = [row for row in rows if row.score == score]
            columns = ["method", "labels", "trimmed", *shown[0].scores, "mean", "spread"]
            title = f"{protocol}, {chosen.about}: {score}"
            console.print(table(title, columns, map(_cells, shown)))
        means = _means(protocol, rows)
        if means is not None:
            console.print(means)
        for source in sorted({row.source for row in rows} - {""}):
            console.print(f"Rows without spread: {source}.")
        for text in dict.fromkeys(f"{row.method}: {row.note}" for row in rows if row.note):
            console.print(text, markup=False)

    emit(document, render)


def _means(protocol: str, rows: Sequence[Row]) -> Table | None:
    """Return the means of all methods by every score; None where no latencies are predicted."""
    found: dict[tuple[object, ...], dict[str, float | None]] = {}
    for row in rows:
        if row.score in _MEANS:
            found.setdefault((row.method, row.labels, row.trimmed), {})[row.score] = row.mean
    if not found:
        return None
    return table(
        f"{protocol}, means: errors and shares of networks in %, rmse in ms",
        ["method", "labels", "trimmed", *_MEANS.values()],
        [[*key, *map(means.get, _MEANS)] for key, means in found.items()],
    )


def _cells(row: Row) -> list[object]:
    return [row.method, row.labels, row.trimmed, *row.scores.values(), row.mean, row.spread]
