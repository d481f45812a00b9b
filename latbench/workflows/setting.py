"""What to measure or predict on, as the user asked for it, and the target that this means."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import latbench
from latbench import devices, registry
from latbench.errors import MissingMeasurementsError, UsageError
from latbench.target import PRECISIONS, Target

if TYPE_CHECKING:
    from latbench.profiling.sweep import Instance
    from latbench.store import ReadableStore

Kind = Literal["network", "block"]


@dataclass(frozen=True)
class Setting:
    """A device and runtime as asked for; the version of the runtime is not known yet.

    Attributes:
        device: name of the device profile.
        runtime: name of the runtime; None for the first of the device's profile that there is.
        precision: the precision asked for.
        runtime_options: further options of the runtime.
        batch: images a run.
        threads: threads the runtime may use for one operator.
        any_device: whether nobody asked for the device: of a table, which is only read, the only
            device there is meant then.
    """

    device: str = "cpu"
    runtime: str | None = None
    precision: str = "fp32"
    runtime_options: tuple[tuple[str, str], ...] = ()
    batch: int = 1
    threads: int = 1
    any_device: bool = False

    @classmethod
    def parse(
        cls,
        runtime: str | None = None,
        *,
        device: str = "cpu",
        runtime_options: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        batch: int = 1,
        threads: int = 1,
        any_device: bool = False,
    ) -> Setting:
        """Return the setting whose runtime is written ``NAME[:PRECISION]``.

        Raises:
            UsageError: no name before the colon, or an unknown precision.
        """
        name, colon, precision = (runtime or "").partition(":")
        if runtime is not None and not name:
            raise UsageError(f"{runtime!r} names no runtime; write NAME or NAME:PRECISION")
        if colon and precision not in PRECISIONS:
            raise UsageError(
                f"{runtime!r}: " + registry.unknown("precision", precision, PRECISIONS)
            )
        return cls(
            device=device,
            runtime=name or None,
            precision=precision or "fp32",
            runtime_options=tuple(sorted(dict(runtime_options).items())),
            batch=batch,
            threads=threads,
            any_device=any_device,
        )

    def here(self) -> tuple[Target, Instance]:
        """Return the target on this machine, and the instance of the device that is here.

        Raises:
            UsageError: an unknown device, or a precision or option that the runtime lacks.
            PluginError: an unknown runtime.
            UnavailableError: the device or the runtime is not here.
        """
        from latbench.profiling.sweep import Instance
        from latbench.workflows.availability import runtime_for

        fingerprint = devices.require(self.device)
        runtime = runtime_for(self.runtime, self.device)
        target = runtime.target(
            self.device, self.precision, self.batch, self.threads, dict(self.runtime_options)
        )
        return target, Instance(fingerprint.instance, self.device, fingerprint.to_dict())

    def stored(
        self,
        store: ReadableStore,
        space: Mapping[str, Any] | None = None,
        kind: Kind | None = None,
    ) -> Target:
        """Return the first of :meth:`all_stored`."""
        return self.all_stored(store, space, kind)[0]

    def all_stored(
        self,
        store: ReadableStore,
        space: Mapping[str, Any] | None = None,
        kind: Kind | None = None,
    ) -> list[Target]:
        """Return the matching targets that the store has measurements of, the one meant first.

        None of them need be here. Without a runtime the first of the device's profile that was
        measured comes first; of several versions of a runtime the one that was measured last.

        Args:
            store: where to look.
            space: the spec of the space that must have been measured; None for any.
            kind: what of it; None for either.

        Raises:
            UsageError: an unknown device.
            MissingMeasurementsError: there are none; the text says what there is, and the command
                that measures what is missing.
        """
        table = store.table(kind=kind, space=space)
        newest = {key: place for place, key in enumerate(table["target_key"])}
        measured = [target for target in store.targets() if target.key in newest]
        there = {target.device for target in measured}
        if self.any_device and store.read_only and len(there) == 1:
            return dataclasses.replace(self, device=there.pop(), any_device=False).all_stored(
                store, space, kind
            )
        # A table that was handed on may be of a device that nobody has described here.
        known = self.device not in there or self.device in devices.profiles()
        order = devices.profile(self.device).runtimes if known else ()
        matching = [target for target in measured if self.matches(target)]
        if not matching:
            raise MissingMeasurementsError(self._missing(store, space, kind, measured))

        def preference(target: Target) -> tuple[int, int]:
            known = target.runtime in order
            return -order.index(target.runtime) if known else -len(order), newest[target.key]

        return sorted(matching, key=preference, reverse=True)

    def matches(self, target: Target) -> bool:
        """Return whether ``target`` is what was asked for, in some version of its runtime."""
        return (
            target.device == self.device
            and self.runtime in (None, target.runtime)
            and target.precision == self.precision
            and target.options == self.runtime_options
            and target.batch == self.batch
            and target.threads == self.threads
        )

    @property
    def label(self) -> str:
        """The setting on one line, for people."""
        options = "".join(f", {name}={value}" for name, value in self.runtime_options)
        return (
            f"{self.device}, {self.runtime or 'any runtime'} {self.precision}, "
            f"batch {self.batch}, threads {self.threads}{options}"
        )

    def arguments(self) -> str:
        """Return what says this setting on the command line; empty for the default."""
        default = Setting()
        words = []
        if self.device != default.device:
            words.append(f"--device {self.device}")
        if self.runtime is not None:
            precision = "" if self.precision == default.precision else f":{self.precision}"
            words.append(f"--runtime {self.runtime}{precision}")
        words += [f"--runtime-option {name}={value}" for name, value in self.runtime_options]
        if self.batch != default.batch:
            words.append(f"--batch {self.batch}")
        if self.threads != default.threads:
            words.append(f"--threads {self.threads}")
        return " ".join(words)

    def _missing(
        self,
        store: ReadableStore,
        space: Mapping[str, Any] | None,
        kind: Kind | None,
        measured: Sequence[Target],
    ) -> str:
        what = "measurements" if kind is None else f"measured {kind}s"
        of = "" if space is None else f" of {space['name']}"
        where = "table" if store.read_only else "store"
        there = _there(store, kind, measured)
        text = f"the {where} holds no {what}{of} on {self.label}.{there}"
        if store.read_only:
            return f"{text} Ask for what it holds, or measure into a database"
        words = ["latbench profile"]
        words += space_words(space) if space is not None else []
        words += {"network": ["--networks 100"], "block": ["--blocks"], None: []}[kind]
        words += [self.arguments()] if self.arguments() else []
        return f"{text} Measure: {' '.join(words)}"


def choice_of(targets: Sequence[Target]) -> list[str]:
    """Return a sentence on which of the matching ``targets`` was taken, if there are several."""
    taken, *others = targets
    if not others:
        return []
    labels = "; ".join(other.label for other in others)
    return [f"taken: what was measured on {taken.label}; there is also {labels}"]


def _there(store: ReadableStore, kind: Kind | None, measured: Sequence[Target]) -> str:
    """Return what a store holds instead: other targets of the space, or other spaces."""
    if measured:
        return f" It holds those of: {'; '.join(target.label for target in measured)}."
    specs = store.table(kind=kind)["space"].dropna().unique()
    spaces = [" ".join(space_words(json.loads(spec))) for spec in specs]
    return f" It holds those of: {'; '.join(spaces)}." if spaces else ""


def space_words(spec: Mapping[str, Any]) -> list[str]:
    """Return what says a space on the command line: its name, and options that are no defaults."""
    name = spec["name"]
    known = name in registry.names(registry.SPACES)
    defaults = latbench.space(name).spec["options"] if known else {}
    return [
        f"--space {name}",
        *(
            f"--space-option {shlex.quote(f'{option}={json.dumps(value)}')}"
            for option, value in spec["options"].items()
            if option not in defaults or defaults[option] != value
        ),
    ]
