"""Packages that are not there, there in part, or too old: one line each, with what mends it."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import onnxruntime  # noqa: F401 - what is replaced here has been loaded
import openvino  # noqa: F401
import pytest
import torch  # noqa: F401

import latbench
from latbench.errors import UnavailableError
from latbench.runtimes import Runtime
from latbench.runtimes.onnxruntime import OnnxRuntime
from latbench.runtimes.onnxruntime_gpu import OnnxRuntimeCuda
from latbench.runtimes.openvino import OpenVino
from latbench.runtimes.packages import OLDEST
from latbench.runtimes.torch import TorchRuntime

Install = Callable[..., None]

LIBRARY = f"_C{EXTENSION_SUFFIXES[0]}"
BROKEN = "raise ImportError('libengine.so.1: no such file')"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """A function that replaces a package by one of these files, with a version or without."""

    def install(package: str, files: dict[str, str], version: str | None = None) -> None:
        folder = tmp_path / package
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        if version is not None:
            info = tmp_path / f"{package}-{version}.dist-info"
            info.mkdir()
            text = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
            (info / "METADATA").write_text(text, encoding="utf-8")
        others = sys.path
        if version is None:  # or the true one, or its version, would be found behind this one
            others = [entry for entry in others if not (Path(entry) / package).is_dir()]
        monkeypatch.setattr(sys, "path", [str(tmp_path), *others])
        importlib.invalidate_caches()
        monkeypatch.delitem(sys.modules, package)

    return install


@pytest.mark.parametrize(
    ("runtime", "pip"), [(OnnxRuntime, "onnxruntime"), (OnnxRuntimeCuda, "onnxruntime-gpu")]
)
@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"__init__.py": BROKEN}, "(ImportError: libengine.so.1: no such file)"),
        ({"__init__.py": "raise OSError('no room\\nfor it')"}, "(OSError: no room)"),
        ({"__init__.py": ""}, "(AttributeError: "),
        ({"left-over.txt": ""}, "(AttributeError: "),
    ],
)
def test_an_onnxruntime_that_is_there_in_part(
    install: Install, runtime: type[Runtime], pip: str, files: dict[str, str], says: str
) -> None:
    """It is not available, however it fails, and nothing is raised."""
    install("onnxruntime", files)
    reason = str(runtime().available())
    assert reason.startswith("the package onnxruntime does not load ")
    assert says in reason
    assert reason.endswith(f"run: pip install --force-reinstall {pip}")
    with pytest.raises(UnavailableError, match="does not load"):
        runtime().target("cpu")


@pytest.mark.parametrize("files", [{"__init__.py": ""}, {"left-over.txt": ""}])
def test_a_torch_without_its_library(install: Install, files: dict[str, str]) -> None:
    """That its compiled part is missing is told without loading it."""
    install("torch", files)
    reason = str(TorchRuntime().available())
    assert "torch does not load (ImportError: its compiled part _C is missing)" in reason
    assert reason.endswith("run: pip install --force-reinstall torch")


def test_a_torch_that_does_not_load(install: Install) -> None:
    """What only loading it tells is no failure of the workload, which is not stored either."""
    space = latbench.space("digits-mobilenet", image_size=16)
    block = space.block_workload(space.blocks[1])
    target = TorchRuntime().target("cpu")
    install("torch", {"__init__.py": BROKEN, LIBRARY: ""}, "2.9")
    assert TorchRuntime().available() is None
    assert "torch does not load" in str(TorchRuntime().available_on("v100"))
    with pytest.raises(UnavailableError, match=r"torch does not load .*libengine.* --force-re"):
        TorchRuntime().compile(block, target)


@pytest.mark.parametrize(
    ("runtime", "package", "text"),
    [
        (OnnxRuntime, "onnxruntime", "InferenceSession = None"),
        (OnnxRuntimeCuda, "onnxruntime", "InferenceSession = None"),
        (OpenVino, "openvino", ""),
        (TorchRuntime, "torch", ""),
    ],
)
def test_a_package_that_is_too_old(
    install: Install,
    monkeypatch: pytest.MonkeyPatch,
    runtime: type[Runtime],
    package: str,
    text: str,
) -> None:
    """A version below what latbench asks pip for is told; versions are no decimals."""
    monkeypatch.setattr("latbench.runtimes.openvino._core", object)  # it would be kept
    files = {"__init__.py": text, LIBRARY: ""}
    install(package, files, "1.9.7rc1+cpu")
    reason = str(runtime().available())
    assert f"{package} is 1.9.7rc1+cpu, and latbench needs {OLDEST[package]} or newer" in reason
    assert f"run: pip install --upgrade {package}" in reason


def test_a_build_under_another_name_tells_its_version(install: Install) -> None:
    """A build for GPUs has no metadata under the package's name."""
    install("onnxruntime", {"__init__.py": "InferenceSession = None\n__version__ = '1.20.1'"})
    assert OnnxRuntime().available() is None
    assert OnnxRuntime().version() == "1.20.1"


def test_a_package_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named with the command that brings it; each build by its own name."""
    monkeypatch.setattr("latbench.runtimes.packages.find_spec", lambda name: None)
    assert {
        runtime.name: str(runtime().available()) for runtime in (OnnxRuntime, TorchRuntime)
    } == {
        name: f"the package {name} is not installed; run: pip install {name}"
        for name in ("onnxruntime", "torch")
    }
    assert str(OnnxRuntimeCuda().available()).endswith("run: pip install onnxruntime-gpu")


def test_the_oldest_versions_are_those_that_pip_is_asked_for() -> None:
    """The table repeats ``pyproject.toml``, which is not there once latbench is installed."""
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    asked = dict(re.findall(r'^  "(\w+)>=([\d.]+)",$', text, re.MULTILINE))
    assert {package: asked[package] for package in OLDEST} == OLDEST
