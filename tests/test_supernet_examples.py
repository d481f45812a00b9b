"""The examples that put an expected latency into supernets that are not latbench's."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "supernets"
VARIABLE = "LATBENCH_NNI_PYTHON"


@pytest.fixture(scope="module")
def plain() -> ModuleType:
    """The example in plain PyTorch."""
    spec = importlib.util.spec_from_file_location("plain_pytorch", EXAMPLES / "plain_pytorch.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("target_ms", [1.7, 1.0])
def test_a_plain_supernet_meets_its_target(plain: ModuleType, target_ms: float) -> None:
    """Of the latencies that would be free, it ends at none above the target."""
    uniform_ms = plain.FIXED_MS + sum(sum(row) / 3 for row in plain.OPTIONS_MS.values())
    assert target_ms < uniform_ms
    assert plain.search(plain.Supernet(), target_ms) <= 1.02 * target_ms


def test_without_a_target_it_takes_what_it_likes(plain: ModuleType) -> None:
    """The target, and nothing else, made it fast."""
    assert plain.search(plain.Supernet(), 100.0) > 1.7


def test_the_gradient_reaches_the_alphas_of_nni() -> None:
    """Both strategies follow it to the fastest candidates when no others meet the target."""
    python = os.environ.get(VARIABLE)
    if python is None:
        pytest.skip(f"{VARIABLE} names no Python that has NNI")
    root = EXAMPLES.parents[1]
    done = subprocess.run(
        [python, str(EXAMPLES / "nni_darts.py")],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^(\w+): .* of up to ([\d.e-]+), chosen: (.*)$", done.stdout, re.MULTILINE)
    assert [name for name, _, _ in found] == ["DARTS", "Proxyless"]
    assert all(float(gradient) > 1e-3 for _, gradient, _ in found)
    assert {chosen for _, _, chosen in found} == {"2, 2"}
