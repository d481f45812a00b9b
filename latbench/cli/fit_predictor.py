"""``latbench fit-predictor``: from measurements to a saved predictor with honest scores."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from latbench.cli.options import (
    FOLDER,
    KeyValue,
    SpaceRequest,
    one_target_options,
    seed_option,
    space_options,
)
from latbench.cli.output import emit, note, table
from latbench.cli.session import current
from latbench.errors import UsageError
from latbench.workflows.setting import Setting, choice_of

if TYPE_CHECKING:
    from latbench.spaces.table import TableSpace
    from latbench.workflows.fit import Examples, Fitted
    from latbench.workflows.tables import Table

_SHOWN = ("mape", "bias", "rmse_ms", "within_1", "within_5", "within_10", "spearman", "kendall")
_NEEDED = "--table needs --latency-column L, and --arch-column A or --arch-columns A,B,…"


@click.command(name="fit-predictor")
@space_options
@click.option("--kind", metavar="K", help="Predictor.  [default: lut; ridge on columns]")
@click.option(
    "--param",
    "params",
    multiple=True,
    type=KeyValue(as_json=True),
    metavar="KEY=VALUE",
    help="A hyperparameter of the predictor; may be repeated.",
)
@click.option(
    "--out",
    type=FOLDER,
    metavar="DIR",
    help="Folder to save it in.  [default: one in latbench-predictors]",
)
@click.option(
    "--table",
    "table_path",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="F.csv",
    help="Fit on a CSV or Parquet file instead of the store.",
)
@click.option("--arch-column", metavar="A", help="Its column of architectures.")
@click.option(
    "--arch-columns",
    metavar="A,B,…",
    help="Its columns that describe an architecture, for a space that latbench does not have.",
)
@click.option("--latency-column", metavar="L", help="Its column of latencies.")
@click.option(
    "--latency-unit",
    type=click.Choice(["ns", "us", "ms", "s"]),
    default="ms",
    show_default=True,
    help="The unit of its latencies.",
)
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="NAME",
    help="Another target to learn from, for --kind transfer: a column of the table, or the label "
    "of a target in the store; may be repeated.  [default: every other target in the store]",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="K",
    help="Hold out networks K times, from --seed on, and tell means and spreads of the scores.",
)
@one_target_options
@seed_option
def fit_predictor(
    space: SpaceRequest,
    kind: str | None,
    params: tuple[tuple[str, object], ...],
    out: Path | None,
    table_path: Path | None,
    arch_column: str | None,
    arch_columns: str | None,
    latency_column: str | None,
    latency_unit: str,
    sources: tuple[str, ...],
    seeds: int,
    setting: Setting,
    seed: int,
) -> None:
    """Fit a latency predictor to what was measured.

    It is scored on networks held out, beside simpler predictors, then fitted on all and saved.
    """
    from latbench import registry
    from latbench.workflows import fit as workflow
    from latbench.workflows.predictors import default_folder

    kind = kind or ("ridge" if arch_columns or space.name == "table" else "lut")
    # An unknown kind is said before anything is read.
    uses_tables: bool = registry.load(registry.PREDICTORS, kind).uses_tables
    if sources and not uses_tables:
        raise UsageError(f"--source goes with a kind that learns from other targets, not {kind}")
    if table_path is None:
        if arch_column or arch_columns or latency_column:
            raise UsageError(
                "--arch-column, --arch-columns and --latency-column go with --table F.csv"
            )
        examples = _from_store(space, setting, uses_tables, sources)
        folder = default_folder(examples.space, examples.target, kind)
    else:
        if latency_column is None:
            raise UsageError(_NEEDED)
        rows = _read(
            table_path, space, arch_column, arch_columns, latency_column, latency_unit, sources
        )
        examples = _of_table(setting, table_path, rows)
        origin = (table_path.stem, latency_column)
        folder = default_folder(examples.space, examples.target, kind, origin)
    for sentence in examples.notes:
        note(sentence)
    folder = out or folder
    result = workflow.fit_predictor(
        examples,
        kind,
        params=dict(params),
        seed=seed,
        seeds=seeds,
        out=folder,
        made=shlex.join(["latbench", *_public(sys.argv[1:])]),
    )
    for sentence in result.notes:
        note(sentence)
    document = {
        "kind": kind,
        "n_train": result.n_train,
        "n_test": result.n_test,
        **result.scores,
        "interval_nominal": 100 * workflow.NOMINAL_COVERAGE,
        "interval_coverage": result.interval_coverage,
        "noise_mape": result.noise_mape,
        "baselines": result.baselines,
        "seeds": seeds,
        "spread": result.spread,
        "target": examples.target.to_dict(),
        "out": str(folder),
        "notes": [*examples.notes, *result.notes],
    }
    emit(document, lambda console: _render(console, kind, result))


def _public(words: list[str]) -> list[str]:
    """Return the words of the command without paths and URLs, which say where someone works."""
    return ["…" if "/" in word or "\\" in word else word for word in words]


def _read(
    path: Path,
    space: SpaceRequest,
    arch_column: str | None,
    arch_columns: str | None,
    latency_column: str,
    unit: str,
    sources: tuple[str, ...],
) -> Table:
    from latbench.workflows.tables import read_columns, read_table

    named = (arch_column is not None) + (arch_columns is not None)
    if named > 1 or (named == 0 and not _describes(space)):
        raise UsageError(_NEEDED)
    if arch_column is not None:
        return read_table(path, space.build(), arch_column, latency_column, unit, sources)
    return read_columns(path, _columns(space, arch_columns), latency_column, unit, sources)


def _describes(space: SpaceRequest) -> bool:
    """Return whether a space is asked for that says by itself which columns it reads."""
    return space.name == "table" and bool(space.options)


def _columns(asked: SpaceRequest, arch_columns: str | None) -> Sequence[str] | TableSpace:
    """Return the columns that make a space, or the space that knows its columns."""
    from latbench.spaces.table import TableSpace
    from latbench.workflows.table_columns import columns_of

    if asked.given and asked.name != TableSpace.name:
        raise UsageError(
            f"--arch-columns make a space of their own, and --space {asked.name} names another; "
            "leave one out"
        )
    names = [name.strip() for name in (arch_columns or "").split(",") if name.strip()]
    if not _describes(asked):
        return names
    space = asked.build()
    assert isinstance(space, TableSpace)
    known = columns_of(space)
    if arch_columns is not None and set(names) != set(known):
        raise UsageError(
            f"--arch-columns name {', '.join(names)}, and the columns of --space table are "
            f"{', '.join(known)}; name the same, or leave --arch-columns out"
        )
    return space


def _from_store(
    asked: SpaceRequest, setting: Setting, uses_tables: bool, sources: tuple[str, ...]
) -> Examples:
    from latbench.workflows.fit import Examples
    from latbench.workflows.measured import measured, other_targets

    with current().open_to_read() as store:
        space = asked.build_for(store)
        targets = setting.all_stored(store, space.spec, "network")
        found = measured(store, space, targets[0])
        others = other_targets(store, space, found.target, sources) if uses_tables else {}
    notes = [*choice_of(targets), *found.notes()]
    for name, source in others.items():
        note(f"learns from {len(source.y)} networks on {name}")
        notes += [f"{name}: {sentence}" for sentence in source.notes()]
    return Examples(
        space,
        found.target,
        found.X,
        found.y,
        found.block_ms,
        found.noise_mape,
        f"and {len(found.blocks)} blocks, measured by latbench on {found.target.label}",
        {name: (source.X, source.y) for name, source in others.items()},
        notes,
    )


def _of_table(setting: Setting, path: Path, rows: Table) -> Examples:
    from latbench.workflows.fit import Examples
    from latbench.workflows.table_target import stated

    return Examples(
        rows.space,
        stated(setting),
        rows.X,
        rows.y,
        None,
        rows.noise_mape,
        f"in the table {path.name}",
        rows.sources,
        rows.notes(),
    )


def _render(console: Console, kind: str, result: Fitted) -> None:
    rows = {kind: result.scores, **result.baselines}
    console.print(
        table(
            f"Scores on {result.n_test} networks after a fit on {result.n_train}; errors in %",
            ["predictor", *_SHOWN],
            [
                [name, *(_shown(scores[score], spread.get(score)) for score in _SHOWN)]
                for name, scores in rows.items()
                for spread in (result.spread.get(name, {}),)
            ],
        )
    )
    if result.interval_coverage is not None:
        console.print(
            f"90 % intervals held {result.interval_coverage:.0f} % of the {result.n_test} networks."
        )
    if result.noise_mape is None:
        console.print("The noise of the measurements is not known: no network was measured twice.")
    else:
        own, noise = result.scores["mape"], result.noise_mape
        times = f"; this is {own / noise:.2g} times that" if own and noise else ""
        console.print(f"A perfect predictor would have a mape of {noise:.2f} %{times}.")
    console.print(f"Saved in {result.folder}.", markup=False)


def _shown(score: float | None, spread: float | None) -> float | str | None:
    if score is None or spread is None:
        return score
    return f"{score:#.4g} ± {spread:.2g}"
