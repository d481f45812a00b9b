"""The names that latbench calls exist in NVIDIA's bindings.

latbench runs over the fakes, which have no other names than these; so what it calls is here.
"""

from __future__ import annotations

import enum
import inspect
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

import pytest

from latbench.runtimes.tensorrt_bindings import is_newer, release
from latbench.runtimes.tensorrt_messages import messages
from latbench.runtimes.tensorrt_session import _recorder
from tests.runtimes.fake_cuda import FakeGpu
from tests.runtimes.fake_tensorrt import make_tensorrt, names_of
from tests.runtimes.shared_library import Library

WHEEL = "tensorrt-cu13-bindings>=11,<12"
GONE = ("FP16", "EXPLICIT_BATCH", "execute_async_v2", "max_workspace_size", "device_memory_size")
"""Names of former versions, which 11 does not have: what is looked up can be absent."""
TAILS = ("og", "ode", "esc", "ONE", "et_flag", "erialize")
"""Ends of names that it has, which are in the library and name nothing."""
CALLED = ("Builder", "Runtime", "OnnxParser")
"""Classes that latbench calls; it gets objects of the others, or derives from them."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The bindings of TensorRT 11, which cannot be imported where TensorRT itself is not."""
    folder = tmp_path_factory.mktemp("bindings")
    pip = (sys.executable, "-m", "pip", "download", "--disable-pip-version-check")
    # It is read here and not run, so any machine can have that of x86-64.
    which = ("--no-deps", "--only-binary", ":all:", "--platform", "manylinux_2_28_x86_64")
    patience = ("--retries", "0", "--timeout", "15")
    done = subprocess.run(
        [*pip, *which, *patience, "--dest", str(folder), WHEEL],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"{WHEEL} cannot be had here: {done.stderr.strip().splitlines()[-1:]}")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if ".so" in name)
        return Library(archive.read(name))


def parameters_of(trt: ModuleType) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield (class or nothing, name, parameters) of what latbench calls in a fake, or overrides."""
    for owner, name in [*names_of(trt), *((owner, "__init__") for owner in CALLED)]:
        place = getattr(trt, owner) if owner else trt
        found = inspect.getattr_static(place, name)
        if isinstance(found, FunctionType):
            names = tuple(inspect.signature(found).parameters)
            yield owner, name, names[1:] if owner else names


@pytest.mark.parametrize(("owner", "name"), sorted(names_of(make_tensorrt("11.0", FakeGpu()))))
def test_version_11_has_the_name(library: Library, owner: str, name: str) -> None:
    """Every class, method, property and enumeration member that latbench uses."""
    assert library.has(name), f"{owner or 'tensorrt'} has no {name}"


@pytest.mark.parametrize(
    ("owner", "name", "parameters"), sorted(parameters_of(make_tensorrt("11.0", FakeGpu())))
)
def test_version_11_names_the_parameters(
    library: Library, owner: str, name: str, parameters: tuple[str, ...]
) -> None:
    """The fakes take them by the names that the bindings give them."""
    for parameter in parameters:
        assert library.has(parameter), f"{owner}.{name} takes no {parameter}"


@pytest.mark.parametrize("name", [*GONE, *TAILS])
def test_what_is_gone_is_not_found(library: Library, name: str) -> None:
    """So that the look-up above can fail."""
    assert not library.has(name)


@pytest.fixture(scope="module")
def trt() -> Any:
    """The TensorRT that is installed here; it imports without a GPU."""
    return pytest.importorskip("tensorrt", reason="tensorrt is not installed here")


def test_the_installed_version_has_the_names(trt: Any) -> None:
    """Names and members of the version that is here, each in its class."""
    fake = make_tensorrt(".".join(map(str, release(trt))), FakeGpu())
    for owner, name in names_of(fake):
        real = getattr(trt, owner) if owner else trt
        assert hasattr(real, name), f"{owner or 'tensorrt'} has no {name}"
    for name, value in vars(fake).items():
        if isinstance(value, type) and issubclass(value, enum.IntEnum):
            for member in value:
                assert int(getattr(getattr(trt, name), member.name)) == int(member), member


def test_the_installed_version_takes_our_classes(trt: Any) -> None:
    """The logger and the profiler are made by subclassing; both are called by the library."""
    logger = messages(trt)
    logger.log(trt.ILogger.WARNING, "a warning")
    logger.log(trt.ILogger.ERROR, "an\nerror")
    assert logger.take() == "an error"
    assert logger.take() == ""
    recorder = _recorder(trt)
    for ms in (0.25, 0.5):
        recorder.report_layer_time("n0", ms)
    recorder.end_run()
    assert recorder.times_ms == {"n0": [0.75]}


def test_the_installed_version_takes_our_arguments(trt: Any) -> None:
    """Names and order of the parameters, as the bindings write them into their docstrings.

    What comes after those of the fake has a default.
    """
    fake = make_tensorrt(".".join(map(str, release(trt))), FakeGpu())
    for owner, name, parameters in parameters_of(fake):
        written = getattr(getattr(trt, owner) if owner else trt, name).__doc__
        (listed,) = re.findall(rf"^{name}\((.*)\) ->", written, re.MULTILINE)[:1]
        real = [one for one in split(listed) if not one.startswith("self:")]
        told = tuple(re.split("[:=]", one)[0].strip() for one in real)
        assert told[: len(parameters)] == parameters, f"{owner}.{name}({listed})"
        assert all("=" in one for one in real[len(parameters) :]), f"{owner}.{name}({listed})"


def split(listed: str) -> list[str]:
    """Return the parameters in ``listed``, whose types may hold commas in brackets."""
    return [one.strip() for one in re.split(r",(?![^\[(]*[\])])", listed) if one.strip()]


def test_versions_are_compared_by_what_a_profile_says() -> None:
    """``10.4`` holds 10.4.1, and ``10`` all of 10."""
    made = make_tensorrt("10.4.1", FakeGpu())
    assert release(made) == (10, 4)
    assert not is_newer(made, "10.4")
    assert not is_newer(made, "10")
    assert is_newer(made, "10.3")
    assert is_newer(made, "8.6")
