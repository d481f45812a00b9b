"""The example that puts an expected latency into a supernet that is not latbench's."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "supernets"


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
