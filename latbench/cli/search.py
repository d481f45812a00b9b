"""``latbench search``: a network within a latency target, exported and measured."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from latbench.cli.options import (
    FOLDER,
    KeyValue,
    Latency,
    SpaceRequest,
    one_target_options,
    seed_option,
    space_options,
)
from latbench.cli.output import emit, note, progress
from latbench.cli.search_request import (
    is_about,
    merged_setting,
    merged_settings,
    merged_space,
)
from latbench.cli.session import current
from latbench.training.images.naming import FORMS
from latbench.workflows.search_settings import REWARDS
from latbench.workflows.setting import Setting

if TYPE_CHECKING:
    from latbench.training.callbacks import Callback
    from latbench.workflows.search_settings import SearchSettings

_ARCHITECTURES = ("arch.json", "nearest.json")


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
    type=FOLDER,
    metavar="DIR",
    help="Latency predictor.  [default: the newest that fits in latbench-predictors]",
)
@click.option(
    "--surrogate",
    "surrogate_folder",
    type=FOLDER,
    metavar="DIR",
    help="Predictor of what is maximised, instead of training a supernet.",
)
@click.option(
    "--control",
    "control_folder",
    type=FOLDER,
    metavar="DIR",
    help="Differentiable latency predictor, such as an mlp, as a control variate of gradients that "
    "are estimated from draws.",
)
@click.option(
    "--reward",
    type=click.Choice(REWARDS),
    help="Latencies that unas follows: the predictor's, or measured ones of the networks that it "
    "draws.  [default: predictor]",
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
    "--train-on",
    metavar="PLACE",
    help="Where to train: cpu, cuda or cuda:N.  [default: cpu]",
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
    type=FOLDER,
    default=Path("latbench-search"),
    show_default=True,
    metavar="DIR",
    help="Folder for the network, the report and the settings.",
)
@click.option(
    "--checkpoints",
    type=FOLDER,
    metavar="DIR",
    help="Folder for the state of the search, from which the same command goes on.",
)
@click.option(
    "--tensorboard",
    type=FOLDER,
    metavar="DIR",
    help="Folder for TensorBoard: curves, chosen options, and the graph of the result.",
)
@click.option(
    "--drawings",
    is_flag=True,
    help="Draw the likeliest network of each epoch and each best, as SVG.",
)
@one_target_options
@seed_option
def search(
    latency_target: float | None,
    space: SpaceRequest,
    params: tuple[tuple[str, Any], ...],
    predictor_folder: Path | None,
    surrogate_folder: Path | None,
    control_folder: Path | None,
    epochs: int | None,
    penalty: str | None,
    config: Path | None,
    out: Path,
    checkpoints: Path | None,
    tensorboard: Path | None,
    drawings: bool,
    setting: Setting,
    seed: int,
    **given: Any,
) -> None:
    """Search for a network within a latency target, and measure it."""
    from latbench.reports import Drawings, write_drawing, write_search_summary
    from latbench.training.progress import ProgressBar
    from latbench.training.tensorboard import TensorBoard, write_network
    from latbench.workflows import search as workflow
    from latbench.workflows.predictors import load_for, newest
    from latbench.workflows.reporting import device_facts_of, headline, search_summary
    from latbench.workflows.search_config import SearchConfig, read_config, write_config
    from latbench.workflows.search_files import save
    from latbench.workflows.searchers import settled

    current().check_store()
    known = SearchConfig() if config is None else read_config(config)
    settings = settled(merged_settings(known, latency_target, params, epochs, penalty, seed, given))
    built = merged_space(space, known).build()
    setting = merged_setting(setting, known)
    target, instance = setting.here()
    if predictor_folder is None and is_about(known, built, setting):
        predictor_folder = known.predictor
    if predictor_folder is None:
        words = f"latbench fit-predictor --space {built.name} {setting.arguments()}".rstrip()
        predictor, predictor_folder = newest(built, target, words)
        note(f"predictor: {predictor_folder}")
    else:
        predictor = load_for(predictor_folder, built, target)
    surrogate_folder = surrogate_folder or known.surrogate
    surrogate = None if surrogate_folder is None else load_for(surrogate_folder, built)
    control_folder = control_folder or known.control
    control = None if control_folder is None else load_for(control_folder, built)
    workflow.prepare(out)
    resolved = dataclasses.replace(setting, runtime=target.runtime)
    write_config(
        out / "config.yaml",
        settings,
        built.spec,
        resolved,
        predictor_folder,
        surrogate_folder,
        control_folder,
    )
    drawn = out / "drawings"
    if drawings:
        workflow.prepare(drawn)

    def callbacks() -> list[Callback]:
        return [
            ProgressBar(),
            *([] if tensorboard is None else [TensorBoard(tensorboard)]),
            *([Drawings(drawn, built)] if drawings else []),
        ]

    try:
        with current().open_store() as store:
            found = workflow.search(
                store,
                predictor,
                target,
                instance,
                settings,
                surrogate=surrogate,
                control=control,
                progress=progress,
                callbacks=callbacks,
                checkpoints=checkpoints,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_how_to_go_on(checkpoints)) from None
    for sentence in found.notes:
        note(f"note: {sentence}")
    written = save(found, out)
    x = found.timed.x
    write_drawing(out / "found.svg", built, x)
    if tensorboard is not None:
        text = "\n\n".join(headline(found).splitlines())
        write_network(tensorboard, built.network(x), built.input_shape, text)
    next_commands = [
        f"latbench train --arch {out / name}{_training_words(settings)}"
        for name in written
        if name in _ARCHITECTURES
    ]
    facts = device_facts_of(instance.facts)
    write_search_summary(out / "report.html", search_summary(found, facts, next_commands))

    def render(console: Console) -> None:
        console.print(built.decode(x), markup=False)
        console.print(headline(found), markup=False)
        more = ["config.yaml", "report.html", "found.svg", *(["drawings"] if drawings else [])]
        names = ", ".join([*written, *more])
        console.print(f"Written to {out}: {names}.\nNext: {next_commands[-1]}", markup=False)

    emit({**found.document(), "out": str(out)}, render)


def _training_words(settings: SearchSettings) -> str:
    """Return what says the data of a search, its splits and its place, on the command line."""
    words = ""
    if settings.data != "digits":
        words += f" --data {shlex.quote(settings.data)}"
    if settings.data_size != 32:
        words += f" --data-size {settings.data_size}"
    if settings.train_on != "cpu":
        words += f" --train-on {settings.train_on}"
    if settings.seed:
        words += f" --seed {settings.seed}"
    return words


def _how_to_go_on(checkpoints: Path | None) -> str:
    if checkpoints is None:
        return "what was trained is lost, what was measured is kept; --checkpoints DIR keeps both"
    return f"run the same command again to go on from {checkpoints}"
