"""The options of the user's own models: which files, and the shapes that they leave open."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import click

from latbench.cli.options import Command, ParamType, with_options, without_repeats
from latbench.errors import UsageError


class InputShape(ParamType):
    """``NAME=1,3,224,224``; the value is the name with the sizes."""

    name = "shape"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return (name, sizes)."""
        if isinstance(value, tuple):
            return value
        name, _, text = value.rpartition("=")  # a name may hold an equals sign, sizes do not
        sizes = text.split(",")
        if not name or not all(size.isdecimal() and int(size) > 0 for size in sizes):
            self.fail(f"{value!r} is not NAME=SIZE,SIZE,…, such as image=1,3,224,224", param, ctx)
        return name, tuple(map(int, sizes))


def model_options(command: Command) -> Command:
    """Add ``--model`` and ``--input-shape``; the command gets ``models`` and ``shapes``."""

    @functools.wraps(command)
    def collected(
        *args: Any,
        models: tuple[Path, ...],
        input_shape: tuple[tuple[str, tuple[int, ...]], ...],
        **others: Any,
    ) -> Any:
        if input_shape and not models:
            raise UsageError("--input-shape is for ONNX files; add --model F.onnx")
        shapes = without_repeats("--input-shape", input_shape)
        return command(*args, models=models, shapes=shapes, **others)

    return with_options(
        collected,
        click.option(
            "--model",
            "models",
            multiple=True,
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="F.onnx",
            help="Measure an ONNX file; may be repeated.",
        ),
        click.option(
            "--input-shape",
            multiple=True,
            type=InputShape(),
            metavar="NAME=SIZE,…",
            help="The shape of an input that the files leave open beyond the batch, as "
            "image=1,3,224,224; may be repeated.",
        ),
    )
