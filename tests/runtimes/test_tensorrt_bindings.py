"""The names that latbench calls exist in NVIDIA's bindings.

latbench runs over the fakes, which have no other names than these; so what it calls is here.
"""

from __future__ import annotations

import enum
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from latbench.runtimes.tensorrt_bindings import is_newer, messages, release
from latbench.runtimes.tensorrt_session import _recorder
from tests.runtimes.fake_cuda import FakeGpu
from tests.runtimes.fake_tensorrt import make_tensorrt, names_of

WHEEL = "tensorrt-cu13-bindings>=11,<12"
GONE = ("FP16", "EXPLICIT_BATCH", "execute_async_v2", "max_workspace_size", "device_memory_size")
"""Names of former versions, which 11 does not have: what is looked up can be absent."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bindings of TensorRT 11, which cannot be imported where TensorRT itself is not."""
    folder = tmp_path_factory.mktemp("bindings")
    pip = (sys.executable, "-m", "pip", "download", "--disable-pip-version-check")
    options = ("--no-deps", "--only-binary", ":all:", "--retries", "0", "--timeout", "15")
    done = subprocess.run(
        [*pip, *options, "--dest", str(folder), WHEEL],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"{WHEEL} cannot be had here: {done.stderr.strip().splitlines()[-1:]}")
    return content_of(folder)


def content_of(folder: Path) -> bytes:
    """Return the shared libraries in the wheel in ``folder``, one after the other."""
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".so" in name]
        assert names
        return b"\0".join(archive.read(name) for name in names)


def is_in(name: str, library: bytes) -> bool:
    """Return whether a string in ``library`` is ``name``, or ends in it.

    Linkers keep a string that another one ends in only once, as a part of that.
    """
    return name.encode() + b"\0" in library


@pytest.mark.parametrize(("owner", "name"), sorted(names_of(make_tensorrt("11.0", FakeGpu()))))
def test_version_11_has_the_name(library: bytes, owner: str, name: str) -> None:
    """Every class, method, property and enumeration member that latbench uses."""
    assert is_in(name, library), f"{owner or 'tensorrt'} has no {name}"


@pytest.mark.parametrize("name", GONE)
def test_what_is_gone_is_not_found(library: bytes, name: str) -> None:
    """So that the look-up above can fail."""
    assert not is_in(name, library)


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
    """Arguments that are given by name, as the bindings write them into their docstrings."""
    assert "ignore_mismatch: bool" in trt.IBuilderConfig.set_timing_cache.__doc__
    assert "stream_handle" in trt.IExecutionContext.execute_async_v3.__doc__


def test_versions_are_compared_by_what_a_profile_says() -> None:
    """``10.4`` holds 10.4.1, and ``10`` all of 10."""
    made = make_tensorrt("10.4.1", FakeGpu())
    assert release(made) == (10, 4)
    assert not is_newer(made, "10.4")
    assert not is_newer(made, "10")
    assert is_newer(made, "10.3")
    assert is_newer(made, "8.6")
