"""``latbench train``: one architecture from scratch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from latbench.cli.options import SpaceRequest, one_target_options, seed_option, space_options
from latbench.cli.output import emit, note, progress
from latbench.cli.session import current
from latbench.errors import UsageError
from latbench.training.images.naming import FORMS
from latbench.units import format_ms
from latbench.workflows.setting import Setting


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
    "--accuracy-on",
    multiple=True,
    metavar="NAME[:PRECISION]",
    help="A runtime and precision, beside that of --runtime, to tell the accuracy of the exported "
    "network on, such as openvino:bf16; may be repeated.  [default: each lower precision that is "
    "here]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("latbench-train"),
    show_default=True,
    metavar="DIR",
    help="Folder for the exported network.",
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
    accuracy_on: tuple[str, ...],
    out: Path,
    setting: Setting,
    seed: int,
) -> None:
    """Train a network from scratch and export it."""
    from latbench.training.config import TrainConfig
    from latbench.training.progress import ProgressBar
    from latbench.workflows import train as workflow
    from latbench.workflows.architectures import read

    current().check_store()
    built = _space(arch, space).build()
    (x,) = read(built, [arch])
    target, instance = setting.here()
    asked = [Setting.parse(name, device=setting.device).here()[0] for name in accuracy_on]
    with current().open_store() as store:
        result = workflow.train(
            store,
            built,
            x,
            target,
            instance,
            data_name=data,
            data_size=data_size,
            config=TrainConfig(epochs=epochs, batch=train_batch, seed=seed),
            accuracy_on=asked or None,
            out=out,
            progress=progress,
            callbacks=lambda: [ProgressBar()],
        )
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
            f"Latency {format_ms(result.true_ms)} on {target.label} ({result.status}).\n"
            f"Written: {out / 'network.onnx'}",
            markup=False,
        )

    emit({**result.document(), "out": str(out)}, render)


def _space(arch: Path, asked: SpaceRequest) -> SpaceRequest:
    """Return the space to read ``arch`` in: the one asked for, else the one that it names."""
    from latbench.workflows.architectures import space_of

    named: Any = space_of(arch)
    if asked.given or named is None:
        return asked
    if not isinstance(named.get("name"), str) or not isinstance(named.get("options"), dict):
        raise UsageError(f"{arch} names no space; give --space")
    return SpaceRequest(named["name"], named["options"], given=True)
