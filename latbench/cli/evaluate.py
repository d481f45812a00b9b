"""``latbench evaluate``: a paper's protocol on the paper's data."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click
from rich.console import Console

from latbench.cli.options import seed_option
from latbench.cli.output import emit, progress, table
from latbench.errors import UsageError
from latbench.workflows.protocol import LABELS, Request, Row

DATA_VARIABLE = "LATBENCH_EVAL_DATA"


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
    default=LABELS,
    show_default=True,
    help="Networks measured on the target device; may be repeated.",
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

    PROTOCOL is help-nb201 (HELP's Table 3: six devices, NAS-Bench-201) or help-fbnet (its Table 2:
    three devices, FBNet). The score is Spearman's rank correlation; spread is the standard
    deviation between seeds.
    """
    from latbench.workflows import evaluate as workflow

    if data is None:
        raise UsageError(
            f"no data: give --data PATH, or set {DATA_VARIABLE}, to the folder of the paper's table"
        )
    with progress(protocol) as report:
        rows = workflow.evaluate(protocol, Request(data, labels, seeds, seed, report))
    document = {
        "protocol": protocol,
        "score": "spearman",
        "rows": [dataclasses.asdict(row) for row in rows],
    }

    def render(console: Console) -> None:
        title = f"{protocol}: Spearman's rank correlation"
        columns = ["method", "labels", "trimmed", *rows[0].scores, "mean", "spread"]
        console.print(table(title, columns, map(_cells, rows)))
        for source in sorted({row.source for row in rows} - {""}):
            console.print(f"Rows without spread: {source}.")

    emit(document, render)


def _cells(row: Row) -> list[object]:
    return [row.method, row.labels, row.trimmed, *row.scores.values(), row.mean, row.spread]
