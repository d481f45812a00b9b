"""Rounds in which the card was slowed are tainted, at whichever end of the round it was seen."""

from __future__ import annotations

import sys
from itertools import pairwise

import pytest

from latbench.devices import CardFacts, CardWatch, visible, watch_card
from latbench.devices.driver import Card
from latbench.profiling.card_counters import CardCounters, counters_of
from latbench.profiling.provenance import provenance
from latbench.target import Target
from latbench.timing import Counters, causes
from tests.runtimes.fake_cuda import FakeGpu, make_pynvml

SLOWED = 0x20


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeGpu:
    """A card whose driver has NVML."""
    gpu = FakeGpu()
    for name, module in make_pynvml(gpu).items():
        monkeypatch.setitem(sys.modules, name, module)
    return gpu


@pytest.fixture
def watch(gpu: FakeGpu) -> CardWatch:
    """What watches it."""
    found, _ = watch_card("v100")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("slowed", "tainted"),
    [
        ([0, 0, 0, 0], [False, False, False]),
        ([0, SLOWED, 0, 0], [True, True, False]),
        ([SLOWED, 0, 0, 0], [True, False, False]),
        ([0, 0, 0, SLOWED], [False, False, True]),
        ([SLOWED, SLOWED, SLOWED, SLOWED], [True, True, True]),
    ],
)
def test_a_slowed_card_taints_the_rounds_on_both_sides(
    gpu: FakeGpu, watch: CardWatch, slowed: list[int], tainted: list[bool]
) -> None:
    """Of readings around three rounds, each that finds it slowed taints what it touches."""
    read = counters_of(watch)
    readings = []
    for bits in slowed:
        gpu.throttle = bits
        readings.append(read())
    found = [
        "card-slowed" in causes(before, after, elapsed_ms=1e9)
        for before, after in pairwise(readings)
    ]
    assert found == tainted


def test_a_card_that_does_not_tell_taints_nothing(gpu: FakeGpu, watch: CardWatch) -> None:
    """It stays None, as every counter that cannot be read."""
    gpu.throttle = None
    read = counters_of(watch)
    assert read().card_slowdowns is None
    assert "switches" in read().readable()


def test_a_processor_has_no_card() -> None:
    """Its counters are those of the machine alone."""
    read = counters_of(None)
    assert not isinstance(getattr(read, "__self__", None), CardCounters)
    assert isinstance(read(), Counters)
    assert read().card_slowdowns is None


def test_provenance_holds_the_state_of_the_card(gpu: FakeGpu) -> None:
    """Driver, clocks, heat, power cap and what slows it, as it was when the process began."""
    gpu.throttle = SLOWED
    assert provenance(Target("v100", "tensorrt", "10.4.0"))["card"] == {
        "driver": "550.1",
        "sm_clock_mhz": 1380,
        "sm_clock_set_mhz": 1530,
        "temperature_c": 41,
        "power_cap_w": 300.0,
        "slowdowns": ["software thermal slowdown"],
    }
    assert "card" not in provenance(Target("cpu", "onnxruntime", "1.31.0"))


def test_provenance_says_why_a_card_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody must take silence for a card that ran freely; nvidia-smi tells the driver at least."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    card = Card(FakeGpu().name, None, CardFacts(None, "570.9", None, None, None, None, None))
    monkeypatch.setattr(visible, "read_cards", lambda: ([card], None))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    told = provenance(Target("v100", "tensorrt", "10.4.0"))["card"]
    assert told["untold"].startswith("the package nvidia-ml-py is not installed")
    assert told["driver"] == "570.9"
