"""What is publicly known of a device model: its memory, its peak rates, and where that is written.

Profiles are data: ``device_profiles/*.yaml`` of this project, and the same file in a package that
announces it by an entry point of the group ``latbench.devices`` named after the device.
"""

from __future__ import annotations

import re
import reprlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    ValidationError,
    field_validator,
    model_validator,
)

from latbench import registry, resources
from latbench.errors import PluginError, UsageError

# Bounds what is shown: a value built from YAML aliases can be exponentially large.
_SHOWN = reprlib.Repr()
_SHOWN.maxlevel = 2
# The list of a YAML file becomes a tuple; what is in it stays strict.
Names = Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
Precision = Literal["fp32", "fp16", "bf16", "amp", "int8"]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Source(_Strict):
    """A public document that figures come from."""

    title: str = Field(min_length=1)
    url: str = Field(pattern=r"^https://")


class _Sourced(_Strict):
    source: str | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _is_accounted_for(self) -> _Sourced:
        value: object = getattr(self, "value", None)
        if value is not None and self.source is None:
            raise ValueError("a value needs the key of its source")
        if value is None and self.note is None:
            raise ValueError("a null value needs a note that says why")
        return self


class Figure(_Sourced):
    """A positive number and where it is written; null where no source was found."""

    value: PositiveFloat | None


class Rate(Figure):
    """A peak rate of dense arithmetic in TFLOP/s (``int8``: TOP/s), and the cores that reach it."""

    cores: Literal["cuda", "tensor"]


class Statement(_Sourced):
    """A version or another text and where it is written."""

    value: str | None


class DeviceProfile(_Strict):
    """A device model as its maker describes it.

    Attributes:
        name: as in ``--device NAME``; the file is called ``<name>.yaml``.
        title: one line for people.
        kind: ``cpu``, ``gpu`` (a card with a driver) or ``soc`` (a board with CPU and GPU).
        variant: the build that the figures describe, where the device was sold in several.
        memory_gb: memory in GB.
        bandwidth_gb_s: peak memory bandwidth in GB/s.
        peaks: peak dense rates by precision. There is none for ``amp``: its products run at the
            rate of ``fp16``.
        compute_capability: CUDA compute capability; None for what is not NVIDIA's.
        precisions: those that are worth asking for on this device.
        newest_tensorrt: the newest TensorRT that supports the device, as a version prefix
            (``10.4`` holds 10.4.1); None where no release has dropped it.
        reported_names: regular expressions, searched without regard to case in the name that the
            CPU, the graphics driver or the board reports.
        runtimes: names of runtimes in order of preference; the first is the default.
        note: what else a user must know.
        sources: the documents, by the key that figures refer to.
    """

    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    title: str = Field(min_length=1, pattern=r"^[^\n]+$")
    kind: Literal["cpu", "gpu", "soc"]
    variant: str | None = None
    memory_gb: Figure
    bandwidth_gb_s: Figure
    peaks: dict[Literal["fp32", "fp16", "bf16", "int8"], Rate]
    compute_capability: Statement | None = None
    precisions: Annotated[tuple[Precision, ...], Field(strict=False, min_length=1)]
    newest_tensorrt: Statement | None = None
    reported_names: Names
    runtimes: Names
    note: str | None = None
    sources: dict[str, Source] = {}

    @field_validator("reported_names")
    @classmethod
    def _patterns_compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as failure:
                raise ValueError(f"{pattern!r} is no regular expression: {failure}") from failure
        return patterns

    @model_validator(mode="after")
    def _sources_exist(self) -> DeviceProfile:
        for field, figure in self.figures():
            if figure.source is not None and figure.source not in self.sources:
                raise ValueError(f"{field} names the source {figure.source!r}, which is not listed")
        return self

    @property
    def default_runtime(self) -> str:
        """The runtime that is used when none is asked for."""
        return self.runtimes[0]

    def figures(self) -> Iterator[tuple[str, Figure | Statement]]:
        """Yield every sourced entry by its place in the file, such as ``peaks.fp16``."""
        yield "memory_gb", self.memory_gb
        yield "bandwidth_gb_s", self.bandwidth_gb_s
        yield from ((f"peaks.{precision}", rate) for precision, rate in self.peaks.items())
        if self.compute_capability is not None:
            yield "compute_capability", self.compute_capability
        if self.newest_tensorrt is not None:
            yield "newest_tensorrt", self.newest_tensorrt

    def matches(self, reported: str) -> bool:
        """Return whether a reported hardware name is this device's."""
        return any(re.search(pattern, reported, re.IGNORECASE) for pattern in self.reported_names)


def profiles() -> dict[str, DeviceProfile]:
    """Return every profile by name, bundled ones and those of installed packages.

    An installed package whose profile does not load is left out with a warning that names it:
    one broken plug-in must not hide the other devices.
    """
    found = {
        name: _parse(text, f"{name}.yaml", name)
        for name, text in sorted(resources.device_profiles().items())
    }
    for name in registry.names(registry.DEVICES):
        if name not in found:
            try:
                found[name] = _announced(name)
            except (PluginError, UsageError) as failure:
                warnings.warn(str(failure), RuntimeWarning, stacklevel=2)
    return found


def profile(name: str) -> DeviceProfile:
    """Return the profile of the device ``name``; a bundled one wins.

    Raises:
        UsageError: no such device, or its file is malformed.
        PluginError: the package that announces the device does not load.
    """
    bundled = resources.device_profiles()
    if name in bundled:
        return _parse(bundled[name], f"{name}.yaml", name)
    announced = registry.names(registry.DEVICES)
    if name in announced:
        return _announced(name)
    raise UsageError(registry.unknown("device", name, {*bundled, *announced}))


def profile_from_file(path: Path) -> DeviceProfile:
    """Return the profile in ``path``, a YAML file called after the device.

    Raises:
        UsageError: the file cannot be read or is malformed; the text names file, field and value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        raise UsageError(f"{path}: cannot be read as text: {failure}") from failure
    return _parse(text, str(path), path.stem)


def _announced(name: str) -> DeviceProfile:
    module = registry.load(registry.DEVICES, name)
    location: str | None = getattr(module, "__file__", None)
    if location is None:
        raise PluginError(
            f"the device plug-in {name!r} does not name a module with a file; "
            f"let its entry point name the package that holds {name}.yaml"
        )
    return profile_from_file(Path(location).parent / f"{name}.yaml")


def _parse(text: str, where: str, name: str) -> DeviceProfile:
    try:
        data = yaml.safe_load(text)
    # Beside its own errors PyYAML lets through a bad date (ValueError) and endless nesting.
    except (yaml.YAMLError, ValueError, RecursionError) as failure:
        reason = " ".join(str(failure).split())
        raise UsageError(f"{where}: not valid YAML: {reason}") from failure
    if not isinstance(data, dict):
        raise UsageError(
            f"{where}: holds {_SHOWN.repr(data)}; a device profile is a mapping of fields such as "
            "name, title and kind"
        )
    try:
        read = DeviceProfile.model_validate(data)
    except ValidationError as failure:
        raise UsageError(f"{where}: {_first_error(failure)}") from failure
    if read.name != name:
        raise UsageError(f"{where}: name is {read.name!r}; name and file must agree ({name!r})")
    return read


def _first_error(failure: ValidationError) -> str:
    error = failure.errors()[0]
    field = ".".join(str(part) for part in error["loc"]) or "the profile"
    given = "" if error["type"] == "missing" else f" (given: {_SHOWN.repr(error['input'])})"
    others = failure.error_count() - 1
    return f"{field}: {error['msg']}{given}" + (f"; and {others} more" if others else "")
