"""``latbench search``: a network within a latency target, exported and measured."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from latbench.cli.options import (
    KeyValue,
    Latency,
    SpaceRequest,
    one_target_options,
    seed_option,
    space_options,
)
from latbench.cli.output import emit, note, progress
from latbench.cli.session import current
from latbench.errors import UsageError
from latbench.training.images.naming import FORMS
from latbench.workflows.setting import Setting

if TYPE_CHECKING:
    from latbench.workflows.search_settings import SearchSettings


@click.command()
@click.option("--latency-target", type=Latency(), metavar="5ms", help="The latency limit.")
@space_options
@click.option("--algorithm", metavar="A", help="Searcher.  [default: evolution]")
@click.option(
    "--param",
    "params",
    multiple=True,
    type=KeyValue(as_json=True),
    metavar="KEY=VALUE",
    help="A hyperparameter of the searcher; may be repeated.",
)
@click.option(
    "--predictor",
    "predictor_folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Latency predictor.  [default: the newest that fits in latbench-predictors]",
)
@click.option(
    "--surrogate",
    "surrogate_folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Predictor of what is maximised, instead of training a supernet.",
)
@click.option("--data", metavar="D", help=f"Training data: {FORMS}.  [default: digits]")
@click.option(
    "--data-size", type=click.IntRange(min=1), help="Side of the training images.  [default: 32]"
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Passes over the data to train the supernet.  [default: 30]",
)
@click.option(
    "--evaluations",
    type=click.IntRange(min=1),
    metavar="N",
    help="Architectures to score.  [default: 200]",
)
@click.option(
    "--penalty",
    metavar="P[:KEY=VALUE,…]",
    help="Latency penalty of one-shot algorithms, such as add#linear:weight=0.2.  [default: hinge]",
)
@click.option(
    "--confidence",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="C",
    help="Probability with which the limit is to hold, such as 0.95.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="F.yaml",
    help="Settings in a file, such as config.yaml of an earlier search; options here win.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("latbench-search"),
    show_default=True,
    metavar="DIR",
    help="Folder for the network, the report and the settings.",
)
@one_target_options
@seed_option
def search(
    latency_target: float | None,
    space: SpaceRequest,
    params: tuple[tuple[str, Any], ...],
    predictor_folder: Path | None,
    surrogate_folder: Path | None,
    epochs: int | None,
    penalty: str | None,
    config: Path | None,
    out: Path,
    setting: Setting,
    seed: int,
    **given: Any,
) -> None:
    """Search for a network within a latency target, and measure it."""
    from latbench.reports import write_search_summary
    from latbench.training.progress import ProgressBar
    from latbench.workflows import search as workflow
    from latbench.workflows.predictors import load_for, newest
    from latbench.workflows.reporting import device_facts_of, headline, search_summary
    from latbench.workflows.search_config import write_config

    current().check_store()
    context = click.get_current_context()
    seeded = context.get_parameter_source("seed") != click.core.ParameterSource.DEFAULT
    if penalty is not None:
        given["penalty"] = _penalty(penalty)
    settings = _settings(config, latency_target, params, epochs, seed if seeded else None, given)
    built = space.build()
    target, instance = setting.here()
    if predictor_folder is None:
        words = f"latbench fit-predictor --space {built.name} {setting.arguments()}".rstrip()
        predictor, folder = newest(built, target, words)
        note(f"predictor: {folder}")
    else:
        predictor = load_for(predictor_folder, built, target)
    surrogate = None if surrogate_folder is None else load_for(surrogate_folder, built)
    workflow.prepare(out)
    with current().open_store() as store:
        found = workflow.search(
            store,
            predictor,
            target,
            instance,
            settings,
            surrogate=surrogate,
            progress=progress,
            callbacks=lambda: [ProgressBar()],
        )
    for sentence in found.notes:
        note(f"note: {sentence}")
    workflow.save(found, out)
    write_config(out / "config.yaml", settings)
    next_commands = [f"latbench train --arch {out / 'arch.json'}{_training_words(settings)}"]
    facts = device_facts_of(instance.facts)
    write_search_summary(out / "report.html", search_summary(found, facts, next_commands))

    def render(console: Console) -> None:
        console.print(built.decode(found.result.x), markup=False)
        console.print(headline(found), markup=False)
        console.print(
            f"Written to {out}: network.onnx, arch.json, search.json, config.yaml, report.html.\n"
            f"Next: {next_commands[0]}",
            markup=False,
        )

    emit({**found.document(), "out": str(out)}, render)


def _penalty(text: str) -> dict[str, Any]:
    """Return the name and settings that ``P:KEY=VALUE,…`` gives."""
    name, _, rest = text.partition(":")
    found: dict[str, Any] = {"name": name}
    for part in filter(None, rest.split(",")):
        key, _, value = part.partition("=")
        try:
            found[key.strip()] = float(value)
        except ValueError as failure:
            raise UsageError(
                f"{part!r} is no setting of a penalty; write it as {name}:weight=0.2"
            ) from failure
    return found


def _training_words(settings: SearchSettings) -> str:
    """Return what says the data of a search, and its splits, on the command line."""
    words = ""
    if settings.data != "digits":
        words += f" --data {shlex.quote(settings.data)}"
    if settings.data_size != 32:
        words += f" --data-size {settings.data_size}"
    if settings.seed:
        words += f" --seed {settings.seed}"
    return words


def _settings(
    config: Path | None,
    target_ms: float | None,
    params: tuple[tuple[str, Any], ...],
    epochs: int | None,
    seed: int | None,
    given: dict[str, Any],
) -> SearchSettings:
    from latbench.training.config import TrainConfig
    from latbench.workflows.search_config import read_config
    from latbench.workflows.search_settings import SearchSettings

    values: dict[str, Any] = {} if config is None else read_config(config)
    values.update({name: value for name, value in given.items() if value is not None})
    if target_ms is not None:
        values["target_ms"] = target_ms
    if params:
        values["params"] = dict(params)
    if seed is not None:
        values["seed"] = seed
    if "target_ms" not in values:
        raise UsageError("no latency target; give --latency-target, such as 5ms")
    train = values.get("train") or TrainConfig(seed=values.get("seed", 0))
    if epochs is not None:
        train = dataclasses.replace(train, epochs=epochs, steps=None)
    if seed is not None:
        train = dataclasses.replace(train, seed=seed)
    return SearchSettings(**{**values, "train": train})
