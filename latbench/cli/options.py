"""Options that several commands share, each as a decorator."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from latbench.errors import UsageError
from latbench.units import parse_bytes, parse_ms
from latbench.workflows.setting import Setting

if TYPE_CHECKING:
    from latbench.spaces import SearchSpace
    from latbench.store import ReadableStore

    ParamType = click.ParamType[Any]
else:  # older clicks have no generic class of it
    ParamType = click.ParamType

Command = Callable[..., Any]

DEFAULT_SPACE = "mobilenet"

FOLDER = click.Path(path_type=Path, file_okay=False)
"""The type of an option that names a folder, whether it is there or not."""


class Latency(ParamType):
    """A duration with its unit, such as ``5ms``; the value is a float in ms."""

    name = "latency"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the latency in ms."""
        if isinstance(value, float):
            return value
        try:
            return parse_ms(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


class Budget(Latency):
    """A duration with its unit, such as ``10min``; the value is a float in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the duration in seconds."""
        if isinstance(value, float):
            return value
        return super().convert(value, param, ctx) / 1e3


class Memory(ParamType):
    """An amount of memory with its unit, such as ``8GiB``; the value is an int in bytes."""

    name = "memory"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the memory in bytes."""
        if isinstance(value, int):
            return value
        try:
            return parse_bytes(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


class PlaceName(ParamType):
    """Where to measure: ``local``, ``ray`` or ``ray://HOST[:PORT]``."""

    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the name as it was given."""
        from latbench.profiling.cluster import address_of

        if value not in ("local", "ray"):
            try:
                address_of(value)
            except ValueError:
                message = f"{value!r} is no place to measure; write local, ray or ray://HOST:10001"
                self.fail(message, param, ctx)
        return value


class KeyValue(ParamType):
    """``KEY=VALUE``; the value is a pair. With ``as_json``, what is JSON is read as JSON."""

    name = "key=value"

    def __init__(self, as_json: bool = False) -> None:
        """Keep whether values are read as JSON where they can be."""
        self._as_json = as_json

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return (key, value)."""
        if isinstance(value, tuple):
            return value
        key, equals, text = value.partition("=")
        if not (key and equals):
            self.fail(f"{value!r} is not KEY=VALUE", param, ctx)
        return key, _json_or_text(text) if self._as_json else text


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


@dataclass(frozen=True)
class SpaceRequest:
    """A search space as asked for.

    Attributes:
        name: its registered name.
        options: its options.
        given: whether the user named a space or an option of one, or this is the default.
    """

    name: str = DEFAULT_SPACE
    options: Mapping[str, Any] = field(default_factory=dict)
    given: bool = False

    def build(self) -> SearchSpace:
        """Return the space.

        Raises:
            PluginError: no space has that name.
            UsageError: the space has no such option, or cannot take that value.
        """
        import latbench

        return latbench.space(self.name, **self.options)

    def build_for(self, store: ReadableStore) -> SearchSpace:
        """Return the space; the only one of a table, which is only read, if none was asked for.

        Raises:
            PluginError, UsageError: as :meth:`build`.
        """
        if not self.given and store.read_only:
            specs = store.table(campaign=None)["space"].dropna().unique()
            if len(specs) == 1:
                spec = json.loads(specs[0])
                return SpaceRequest(spec["name"], spec["options"]).build()
        return self.build()


def given_by_user(name: str) -> bool:
    """Return whether the user gave an option, rather than that its default stands."""
    source = click.get_current_context().get_parameter_source(name)
    return source not in (None, click.core.ParameterSource.DEFAULT)


def target_given() -> bool:
    """Return whether the user gave any of the options of a target."""
    names = ("device", "runtime", "runtime_option", "batch", "threads")
    return any(map(given_by_user, names))


def target_options(command: Command) -> Command:
    """Add the options of a target; the command gets ``settings``, one for each ``--runtime``."""

    @functools.wraps(command)
    def collected(
        *args: Any,
        device: str,
        runtime: tuple[str, ...],
        runtime_option: tuple[tuple[str, str], ...],
        batch: int,
        threads: int,
        **others: Any,
    ) -> Any:
        settings = tuple(
            Setting.parse(
                name,
                device=device,
                runtime_options=without_repeats("--runtime-option", runtime_option),
                batch=batch,
                threads=threads,
                any_device=not given_by_user("device"),
            )
            for name in dict.fromkeys(runtime or (None,))
        )
        return command(*args, settings=settings, **others)

    return with_options(
        collected,
        click.option(
            "--device", default="cpu", show_default=True, metavar="NAME", help="Device profile."
        ),
        click.option(
            "--runtime",
            multiple=True,
            metavar="NAME[:PRECISION]",
            help="Runtime and precision; the device's first available one if left out.",
        ),
        click.option(
            "--runtime-option",
            multiple=True,
            type=KeyValue(),
            metavar="KEY=VALUE",
            help="An option of the runtime; may be repeated.",
        ),
        click.option(
            "--batch",
            default=1,
            show_default=True,
            type=click.IntRange(min=1),
            help="Images a run.",
        ),
        click.option(
            "--threads",
            default=1,
            show_default=True,
            type=click.IntRange(min=1),
            help="Threads for one operator.",
        ),
    )


def one_target_options(command: Command) -> Command:
    """Add the options of a target to a command that takes one: it gets ``setting``."""

    @functools.wraps(command)
    def single(*args: Any, settings: tuple[Setting, ...], **others: Any) -> Any:
        if len(settings) > 1:
            names = ", ".join(str(setting.runtime) for setting in settings)
            raise UsageError(f"this command takes one --runtime, not {names}; run it for each")
        return command(*args, setting=settings[0], **others)

    return target_options(single)


def space_options(command: Command) -> Command:
    """Add ``--space`` and ``--space-option``; the command gets ``space``, a SpaceRequest."""

    @functools.wraps(command)
    def collected(
        *args: Any,
        space: str | None,
        space_option: tuple[tuple[str, Any], ...],
        **others: Any,
    ) -> Any:
        options = without_repeats("--space-option", space_option)
        given = space is not None or bool(options)
        return command(*args, space=SpaceRequest(space or DEFAULT_SPACE, options, given), **others)

    return with_options(
        collected,
        click.option("--space", metavar="NAME", help=f"Search space.  [default: {DEFAULT_SPACE}]"),
        click.option(
            "--space-option",
            multiple=True,
            type=KeyValue(as_json=True),
            metavar="KEY=VALUE",
            help="An option of the space, such as image_size=96; may be repeated.",
        ),
    )


def seed_option(command: Command) -> Command:
    """Add ``--seed``; the command gets ``seed``."""
    return click.option(
        "--seed",
        default=0,
        show_default=True,
        type=click.IntRange(min=0),
        help="Seed of everything random.",
    )(command)


def without_repeats(option: str, pairs: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    """Return the values that ``option`` was given by their keys.

    Raises:
        UsageError: one key has two.
    """
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise UsageError(f"{option} gives {twice!r} more than once; give it once")
    return result


def with_options(command: Command, *options: Callable[[Command], Command]) -> Command:
    """Return ``command`` with ``options``, in this order in its help."""
    for option in reversed(options):
        command = option(command)
    return command
