"""Tables of block latencies as ProxylessNAS and Once-for-all publish them, in YAML.

``read(path)`` is the table. Its ``total(keys)`` sums blocks; its ``blocks(space)`` are those of the
space ``mobilenet``, as a lookup table wants them::

    space = latbench.space("mobilenet")
    blocks = proxyless_table.read(path).blocks(space)
    lut = latbench.predictor("lut").for_table(space, blocks)
    lut.accumulated(space.sample(rng, 10))

A layer that a search removes needs no block and takes no time. A block that the table does not hold
is refused, never counted as zero.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat, PositiveInt
from pydantic import ValidationError as PydanticError

from latbench.errors import MissingMeasurementsError, UsageError
from latbench.registry import nearest
from latbench.spaces import Operation, SearchSpace, Shape
from latbench.spaces.convolution import Chain, Classifier, ConvBlock, InvertedResidual


class Entry(BaseModel):
    """One block.

    Attributes:
        count: of the measurements, as far as anybody knows.
        mean: of its latency, in ms.
        var: its variance, in ms².
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    count: PositiveInt
    mean: PositiveFloat
    var: NonNegativeFloat


@dataclass(frozen=True)
class Total:
    """The sum of some blocks.

    Attributes:
        latency_ms: of their means.
        deviation_ms: standard deviation of one run, if blocks vary independently of each other.
    """

    latency_ms: float
    deviation_ms: float


@dataclass(frozen=True, eq=False)
class ProxylessTable:
    """The table of one file.

    Attributes:
        path: the file.
        entries: by key.
    """

    path: Path
    entries: Mapping[str, Entry]

    def total(self, keys: Iterable[str]) -> Total:
        """Return the sum of the blocks ``keys``; one may occur more than once.

        Raises:
            MissingMeasurementsError: the table has no such block.
        """
        latency_ms = variance = 0.0
        for key in keys:
            if key not in self.entries:
                raise MissingMeasurementsError(
                    f"{self.path} has no block {key!r}{nearest(key, self.entries)}; without it "
                    "there is no sum"
                )
            latency_ms += self.entries[key].mean
            variance += self.entries[key].var
        return Total(latency_ms, variance**0.5)

    def blocks(self, space: SearchSpace) -> dict[str, float]:
        """Return the latency in ms by block key of every block of ``space`` that the table holds.

        Raises:
            UsageError: it holds none.
        """
        found = {}
        for block in space.blocks:
            (shape,) = block.input_shapes if len(block.input_shapes) == 1 else (None,)
            keys = keys_of(block.operation, shape) if shape is not None else None
            if keys is not None and all(key in self.entries for key in keys):
                found[block.key] = self.total(keys).latency_ms
        if not found:
            raise UsageError(
                f"{self.path} has none of the {len(space.blocks)} blocks of {space.id}; it holds "
                f"such as {next(iter(self.entries))!r}"
            )
        return found


def read(path: Path) -> ProxylessTable:
    """Return the table in ``path``.

    Raises:
        UsageError: no such file, or another one.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as failure:
        raise UsageError(f"{path} cannot be read: {failure.strerror}") from failure
    except (yaml.YAMLError, UnicodeDecodeError) as failure:
        reason = " ".join(str(failure).split())
        raise UsageError(f"{path} is no YAML file ({reason})") from failure
    if not isinstance(data, dict) or not data:
        raise UsageError(
            f"{path} is no table of blocks: it is to hold keys such as "
            "'Conv-input:224x224x3-output:112x112x32', each with count, mean and var"
        )
    entries = {}
    for key, value in data.items():
        try:
            entries[str(key)] = Entry.model_validate(value)
        except PydanticError as failure:
            wrong = failure.errors()[0]
            place = ".".join(map(str, wrong["loc"]))
            raise UsageError(
                f"{path}: the block {reprlib.repr(key)} has "
                f"{place + ': ' if place else ''}{wrong['msg']}; a block has count, mean in ms "
                "and var"
            ) from failure
    return ProxylessTable(path, entries)


def keys_of(operation: Operation, shape: Shape) -> list[str] | None:
    """Return the keys of what ``operation`` runs on a map of ``shape``; None if it has none."""
    if isinstance(operation, Chain):
        keys: list[str] = []
        for step in operation.steps:
            part = keys_of(step, shape)
            if part is None:
                return None
            keys += part
            shape = step.output_shape((shape,))
        return keys
    if isinstance(operation, Classifier):
        return [f"Logits-input:{_map(shape)}-output:{operation.classes}"]
    maps = f"input:{_map(shape)}-output:{_map(operation.output_shape((shape,)))}"
    if isinstance(operation, ConvBlock):
        return [f"{'Conv_1' if operation.kernel == 1 else 'Conv'}-{maps}"]
    if isinstance(operation, InvertedResidual) and operation.groups == 1:
        shortcut = operation.stride == 1 and operation.channels == operation.width
        return [
            f"expanded_conv-{maps}-expand:{operation.expansion}-kernel:{operation.kernel}"
            f"-stride:{operation.stride}-idskip:{int(shortcut)}"
        ]
    return None


def _map(shape: Shape) -> str:
    channels, height, width = shape
    return f"{height}x{width}x{channels}"
