"""``latbench predict``: latencies of architectures from a saved predictor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from latbench.cli.options import FOLDER, one_target_options, seed_option, target_given
from latbench.cli.output import emit, note, table
from latbench.errors import UsageError
from latbench.workflows.setting import Setting

if TYPE_CHECKING:
    from latbench.spaces import IntArray, SearchSpace

_COVERAGE = 0.95


@click.command()
@click.option(
    "--predictor",
    "folder",
    required=True,
    type=FOLDER,
    metavar="DIR",
    help="Folder of a saved predictor.",
)
@click.option(
    "--arch",
    "archs",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="F.json",
    help="An architecture; may be repeated.",
)
@click.option(
    "--table",
    "table_path",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="F.csv",
    help="Architectures in a CSV or Parquet file.",
)
@click.option(
    "--arch-column",
    metavar="A",
    help="Its column of architectures; not for a predictor fitted with --arch-columns.",
)
@click.option(
    "--sample", type=click.IntRange(min=1), metavar="N", help="Draw N architectures of the space."
)
@click.option(
    "--strict",
    is_flag=True,
    help="Refuse predictions of which a part rests on nothing that was measured.",
)
@one_target_options
@seed_option
def predict(
    folder: Path,
    archs: tuple[Path, ...],
    table_path: Path | None,
    arch_column: str | None,
    sample: int | None,
    strict: bool,
    setting: Setting,
    seed: int,
) -> None:
    """Predict latencies, with intervals.

    Without --device, --runtime and the like, they are for the target of the predictor, which is
    said; with any of them, a predictor of another target or version of the runtime is refused.
    """
    from latbench.predictor import Predictor
    from latbench.workflows.predictors import cautions, load_asked, space_of, target_of

    if sum([bool(archs), table_path is not None, sample is not None]) != 1:
        raise UsageError("give one of --arch F.json, --table F.csv --arch-column A, --sample N")
    predictor = load_asked(folder, setting) if target_given() else Predictor.load(folder)
    space = space_of(predictor)
    X, found = _architectures(space, archs, table_path, arch_column, sample, seed)
    nominal = min(_COVERAGE, predictor.max_coverage)
    latency = predictor.predict(X, strict=strict)
    low, high = predictor.predict_interval(X, nominal)
    coverage, support = predictor.coverage_of(X), predictor.support_of(X)
    rows = [
        {
            "arch": space.decode(x),
            "latency_ms": float(latency[place]),
            "low_ms": float(low[place]),
            "high_ms": float(high[place]),
            "coverage": float(coverage[place]),
            "measured": float(support.measured[place]),
            "interpolated": float(support.interpolated[place]),
            "nothing": float(support.nothing[place]),
        }
        for place, x in enumerate(X)
    ]
    target = target_of(predictor)
    notes = [*found, *cautions(predictor, X)]
    for sentence in notes:
        note(sentence)
    document = {
        "target": target.to_dict(),
        "kind": predictor.kind,
        "interval_nominal": 100 * nominal,
        "rows": rows,
        "notes": notes,
    }
    title = f"{predictor.kind} on {target.label}; ms, {100 * nominal:.0f} % intervals"
    columns = ["architecture", "latency", "low", "high", "measured", "interpolated", "nothing"]
    shown = [[value for name, value in row.items() if name != "coverage"] for row in rows]
    emit(document, lambda console: console.print(table(title, columns, shown)))


def _architectures(
    space: SearchSpace,
    archs: tuple[Path, ...],
    table_path: Path | None,
    arch_column: str | None,
    sample: int | None,
    seed: int,
) -> tuple[IntArray, list[str]]:
    """Return the architectures, and what is to be told of the table that they stand in."""
    from latbench.spaces.table import TableSpace
    from latbench.workflows.architectures import draw, read
    from latbench.workflows.tables import read_columns, read_table

    if archs:
        return read(space, archs), []
    if sample is not None:
        return draw(space, sample, seed), []
    assert table_path is not None
    if isinstance(space, TableSpace):
        if arch_column is not None:
            raise UsageError(
                "the predictor knows its columns; leave --arch-column out, and give a table with "
                + ", ".join(choice.name for choice in space.choices)
            )
        rows = read_columns(table_path, space)
    elif arch_column is None:
        raise UsageError("--table needs --arch-column A")
    else:
        rows = read_table(table_path, space, arch_column)
    return rows.X, rows.notes()
