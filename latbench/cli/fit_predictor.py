"""``latbench fit-predictor``: from measurements to a saved predictor with honest scores."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from latbench.cli.options import (
    KeyValue,
    SpaceRequest,
    one_target_options,
    seed_option,
    space_options,
)
from latbench.cli.output import emit, note, table
from latbench.cli.session import current
from latbench.errors import UsageError
from latbench.workflows.setting import Setting

if TYPE_CHECKING:
    from latbench.spaces import SearchSpace
    from latbench.target import Target
    from latbench.workflows.fit import Examples, Fitted

_SHOWN = ("mape", "bias", "rmse_ms", "within_1", "within_5", "within_10", "spearman", "kendall")


@click.command(name="fit-predictor")
@space_options
@click.option("--kind", default="lut", show_default=True, metavar="K", help="Predictor.")
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
    type=click.Path(path_type=Path, file_okay=False),
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
@click.option("--latency-column", metavar="L", help="Its column of latencies in ms.")
@one_target_options
@seed_option
def fit_predictor(
    space: SpaceRequest,
    kind: str,
    params: tuple[tuple[str, object], ...],
    out: Path | None,
    table_path: Path | None,
    arch_column: str | None,
    latency_column: str | None,
    setting: Setting,
    seed: int,
) -> None:
    """Fit a latency predictor to what was measured.

    It is scored on networks held out, beside simpler predictors, then fitted on all and saved.
    """
    from latbench import registry
    from latbench.workflows import fit as workflow
    from latbench.workflows.predictors import default_folder

    built = space.build()
    registry.load(registry.PREDICTORS, kind)  # an unknown kind is said before anything is read
    if table_path is None:
        if arch_column or latency_column:
            raise UsageError("--arch-column and --latency-column go with --table")
        examples = _from_store(built, setting)
    else:
        examples = _from_table(built, setting, table_path, arch_column, latency_column)
    folder = out or default_folder(built, examples.target, kind)
    result = workflow.fit_predictor(
        examples,
        kind,
        params=dict(params),
        seed=seed,
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
        "target": examples.target.to_dict(),
        "out": str(folder),
        "notes": result.notes,
    }
    emit(document, lambda console: _render(console, kind, result))


def _public(words: list[str]) -> list[str]:
    """Return the words of the command without paths and URLs, which say where someone works."""
    return ["…" if "/" in word or "\\" in word else word for word in words]


def _from_store(space: SearchSpace, setting: Setting) -> Examples:
    from latbench.workflows.fit import Examples
    from latbench.workflows.measured import measured

    with current().open_store(create=False) as store:
        found = measured(store, space, setting.stored(store, space.spec, "network"))
    for sentence in found.notes():
        note(sentence)
    return Examples(
        space,
        found.target,
        found.X,
        found.y,
        found.block_ms,
        found.noise_mape,
        f"and {len(found.blocks)} blocks, measured by latbench on {found.target.label}",
    )


def _from_table(
    space: SearchSpace,
    setting: Setting,
    path: Path,
    arch_column: str | None,
    latency_column: str | None,
) -> Examples:
    from latbench.workflows.fit import Examples
    from latbench.workflows.tables import read_table

    if arch_column is None or latency_column is None:
        raise UsageError("--table needs --arch-column A and --latency-column L")
    rows = read_table(path, space, arch_column, latency_column)
    for sentence in rows.notes():
        note(sentence)
    return Examples(
        space, _of_table(setting), rows.X, rows.y, None, None, f"in the table {path.name}"
    )


def _of_table(setting: Setting) -> Target:
    """Return the target that a table was measured on, as far as the options tell."""
    from latbench.target import Target

    return Target(
        device=setting.device,
        runtime=setting.runtime or "unknown",
        runtime_version="unknown",
        precision=setting.precision,
        batch=setting.batch,
        threads=setting.threads,
        options=setting.runtime_options,
    )


def _render(console: Console, kind: str, result: Fitted) -> None:
    rows = {kind: result.scores, **result.baselines}
    console.print(
        table(
            f"Scores on {result.n_test} networks after a fit on {result.n_train}; errors in %",
            ["predictor", *_SHOWN],
            [[name, *(scores[score] for score in _SHOWN)] for name, scores in rows.items()],
        )
    )
    if result.interval_coverage is not None:
        console.print(
            f"90 % intervals held {result.interval_coverage:.0f} % of the {result.n_test} networks."
        )
    if result.noise_mape is None:
        console.print("The noise of the measurements is not known: no network was measured twice.")
    else:
        console.print(f"A perfect predictor would have a mape of {result.noise_mape:.2f} %.")
    console.print(f"Saved in {result.folder}.", markup=False)
