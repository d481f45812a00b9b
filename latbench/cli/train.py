"""``latbench train``: one architecture from scratch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from latbench.cli.output import emit, note, progress
from latbench.cli.session import current
from latbench.errors import UsageError
from latbench.registry import unknown
from latbench.training.images.naming import FORMS
from latbench.units import format_ms
from latbench.workflows.setting import Setting

if TYPE_CHECKING:
    from latbench.training.callbacks import Callback


@click.command()
@click.option(
    "--arch",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="F.json",
    help="The architecture, such as arch.json of a search.",
)
@space_options
@click.option(
    "--data",
    default="digits",
    show_default=True,
    metavar="D",
    help=f"Training data: {FORMS}.",
)
@click.option(
    "--data-size",
    default=32,
    show_default=True,
    type=click.IntRange(min=1),
    help="Side of the training images.",
)
@click.option(
    "--epochs", default=30, show_default=True, type=click.IntRange(min=1), help="Passes over them."
)
@click.option(
    "--train-batch",
    default=64,
    show_default=True,
    type=click.IntRange(min=2),
    metavar="N",
    help="Images a step of training.",
)
@click.option(
    "--train-on",
    default="cpu",
    show_default=True,
    metavar="PLACE",
    help="Where to train: cpu, cuda or cuda:N.",
)
@click.option(
    "--param",
    "params",
    multiple=True,
    type=KeyValue(as_json=True),
    metavar="KEY=VALUE",
    help="A further setting of the training, such as lr=0.05; may be repeated.",
)
@click.option(
    "--accuracy-on",
    multiple=True,
    metavar="NAME[:PRECISION]",
    help="A runtime and precision, beside that of --runtime, to tell the accuracy of the exported "
    "network on, such as openvino:bf16; may be repeated.  [default: each lower precision that is "
    "here]",
)
@click.option(
    "--out",
    type=FOLDER,
    default=Path("latbench-train"),
    show_default=True,
    metavar="DIR",
    help="Folder for the exported network.",
)
@click.option(
    "--checkpoints",
    type=FOLDER,
    metavar="DIR",
    help="Folder for the state of the training, from which the same command goes on.",
)
@click.option(
    "--tensorboard",
    type=FOLDER,
    metavar="DIR",
    help="Folder for TensorBoard: curves of the training.",
)
@one_target_options
@seed_option
def train(
    arch: Path,
    space: SpaceRequest,
    data: str,
    data_size: int,
    epochs: int,
    train_batch: int,
    train_on: str,
    params: tuple[tuple[str, Any], ...],
    accuracy_on: tuple[str, ...],
    out: Path,
    checkpoints: Path | None,
    tensorboard: Path | None,
    setting: Setting,
    seed: int,
) -> None:
    """Train a network from scratch and export it."""
    from latbench.training.config import TrainConfig
    from latbench.training.progress import ProgressBar
    from latbench.training.tensorboard import TensorBoard
    from latbench.workflows import train as workflow
    from latbench.workflows.architectures import read

    current().check_store()
    given: dict[str, Any] = {"epochs": epochs, "batch": train_batch, "seed": seed}
    config = TrainConfig(**given, **_further(dict(params), given))
    built = _space(arch, space).build()
    (x,) = read(built, [arch])
    target, instance = setting.here()
    asked = [Setting.parse(name, device=setting.device).here()[0] for name in accuracy_on]

    def callbacks() -> list[Callback]:
        return [ProgressBar(), *([] if tensorboard is None else [TensorBoard(tensorboard)])]

    try:
        with current().open_store() as store:
            result = workflow.train(
                store,
                built,
                x,
                target,
                instance,
                data_name=data,
                data_size=data_size,
                config=config,
                train_on=train_on,
                accuracy_on=asked or None,
                out=out,
                progress=progress,
                callbacks=callbacks,
                checkpoints=checkpoints,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_how_to_go_on(checkpoints)) from None
    note(f"trained on {result.data}")
    for sentence in result.notes:
        note(f"note: {sentence}")

    def render(console: Console) -> None:
        exported = ", ".join(
            f"{one.accuracy:.2%} on {one.label}"
            for one in result.by_target
            if one.accuracy is not None
        )
        console.print(
            f"Test accuracy {result.accuracy:.2%} in torch; exported {exported}.\n"
            f"Latency {format_ms(result.true_ms)} for {result.timed} on {target.label} "
            f"({result.status}).\n"
            f"Written: {out / 'network.onnx'}, for {result.exported}",
            markup=False,
        )

    emit({**result.document(), "out": str(out)}, render)


def _further(params: dict[str, Any], given: Iterable[str]) -> dict[str, Any]:
    """Return the settings of ``params``, which are no others than those of a single network."""
    from latbench.training.config import ONE_SHOT, TrainConfig

    known = [name for name in TrainConfig().to_dict() if name not in {*given, *ONE_SHOT}]
    for name in params:
        if name not in known:
            raise UsageError(unknown("setting of the training", name, known))
    return params


def _space(arch: Path, asked: SpaceRequest) -> SpaceRequest:
    """Return the space to read ``arch`` in: the one asked for, else the one that it names."""
    from latbench.workflows.architectures import space_of

    named: Any = space_of(arch)
    if asked.given or named is None:
        return asked
    if not isinstance(named.get("name"), str) or not isinstance(named.get("options"), dict):
        raise UsageError(f"{arch} names no space; give --space")
    return SpaceRequest(named["name"], named["options"], given=True)


def _how_to_go_on(checkpoints: Path | None) -> str:
    if checkpoints is None:
        return "what was trained is lost; --checkpoints DIR keeps it"
    return f"run the same command again to go on from {checkpoints}"
