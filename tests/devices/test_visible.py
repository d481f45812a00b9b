"""CUDA, nvidia-smi and latbench mean the same card, or none."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

import pytest

from latbench import devices
from latbench.devices import CardFacts, fingerprint, showing_only, watch_card
from latbench.devices import visible as module
from latbench.devices.driver import Card
from latbench.devices.visible import visible
from latbench.errors import UnavailableError
from latbench.profiling.child import _environment
from latbench.target import Target
from tests.runtimes.fake_cuda import FakeGpu, make_pynvml

FACTS = CardFacts(2**34, "550.1", 300, 1530, "7.0", None, None)
V100 = "Tesla V100-SXM2-16GB"
TWO = [Card(V100, "GPU-aa01", FACTS), Card(V100, "GPU-ab02", FACTS)]
MIXED = [Card("NVIDIA T4", "GPU-ff00", FACTS), *TWO]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[Card]:
    """Cards of this machine, which a test may change; nothing hides them at first."""
    cards = list(TWO)
    for one in (fingerprint, module):
        monkeypatch.setattr(one, "read_cards", lambda: (cards, None))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    return cards


@pytest.mark.parametrize(
    ("listed", "shown"),
    [
        (None, [0, 1]),
        ("1", [1]),
        ("1,0", [1, 0]),
        (" 0 , 1", [0, 1]),
        ("0,7,1", [0]),
        ("GPU-ab02", [1]),
        ("GPU-ab,0", [1, 0]),
        ("GPU-a", []),
        ("", []),
        ("-1", []),
        ("MIG-aa01", []),
    ],
)
def test_cards_are_hidden_as_cuda_hides_them(listed: str | None, shown: list[int]) -> None:
    """By number or by the beginning of a UUID, up to the first entry that names none."""
    environ = {} if listed is None else {"CUDA_VISIBLE_DEVICES": listed}
    found, reason = visible(TWO, environ)
    assert found == [TWO[number] for number in shown]
    assert (reason is None) == bool(shown)
    if not shown:
        assert f"CUDA_VISIBLE_DEVICES={listed!r} shows none of the 2 here" in str(reason)


def test_numbers_need_an_order_where_cards_differ() -> None:
    """By default CUDA puts the fastest first, and nvidia-smi goes by the bus."""
    environ = {"CUDA_VISIBLE_DEVICES": "1"}
    found, reason = visible(MIXED, environ)
    assert found == []
    assert "set CUDA_DEVICE_ORDER=PCI_BUS_ID too, or name them by UUID" in str(reason)
    assert visible(MIXED, {**environ, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}) == ([MIXED[1]], None)
    assert visible(MIXED, {"CUDA_VISIBLE_DEVICES": "GPU-ff"}) == ([MIXED[0]], None)


def test_another_card_of_the_same_model_is_another_instance(
    machine: list[Card], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who shows the second one measures on the second one, and it is stored as that."""
    first = devices.require("v100").instance
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    second = devices.require("v100").instance
    assert first != second
    for unknown in (0, 1):
        machine[unknown] = replace(machine[unknown], uuid=None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    assert len({one.instance for one in devices.cards()[0]}) == 2


@pytest.mark.parametrize("listed", [None, "1", "GPU-ab"])
def test_a_worker_is_shown_one_card_alone(
    machine: list[Card], monkeypatch: pytest.MonkeyPatch, listed: str | None
) -> None:
    """It is number 0 for every library, and the same instance for the worker."""
    if listed is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    here = devices.require("v100").instance
    environ = {} if listed is None else {"CUDA_VISIBLE_DEVICES": listed}
    given = _environment(Target("v100", "torch", "2"), environ, ["here"])
    assert given["CUDA_VISIBLE_DEVICES"] == ("GPU-aa01" if listed is None else "GPU-ab02")
    assert given["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given["CUDA_VISIBLE_DEVICES"])
    assert devices.require("v100").instance == here


@pytest.mark.usefixtures("machine")
def test_what_is_no_card_is_shown_as_it_was() -> None:
    """A processor's worker keeps what its environment says, and so does a card that is not here."""
    environ = {"CUDA_VISIBLE_DEVICES": "1"}
    for device in ("cpu", "jetson-orin", "h100"):
        assert showing_only(device, environ) == {}
    assert "CUDA_VISIBLE_DEVICES" not in _environment(Target("cpu", "torch", "2"), {}, [])


@pytest.mark.parametrize("uuids", [("GPU-aa01", "GPU-ab02"), ("GPU-ab02", "GPU-aa01")])
def test_the_card_that_is_measured_is_the_one_that_is_watched(
    machine: list[Card], monkeypatch: pytest.MonkeyPatch, uuids: Sequence[str]
) -> None:
    """NVML lists all cards, whatever CUDA is shown."""
    gpu = FakeGpu()
    nvml = make_pynvml(gpu)["pynvml"]
    monkeypatch.setattr(nvml, "nvmlDeviceGetCount", lambda: 2)
    monkeypatch.setattr(nvml, "nvmlDeviceGetHandleByIndex", lambda number: number)
    monkeypatch.setattr(nvml, "nvmlDeviceGetUUID", lambda number: uuids[number])
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-ab02")
    watch, _ = watch_card("v100")
    assert watch is not None
    assert watch._handle == uuids.index("GPU-ab02")


def test_slices_of_a_card_are_refused(machine: list[Card]) -> None:
    """A slice is slower than the card, and nvidia-smi gives its name; a whole one is taken."""
    sliced = replace(TWO[0], facts=replace(FACTS, mig="Enabled"))
    machine[0] = sliced
    assert devices.require("v100").instance == devices.present(devices.profile("v100"))[1].instance
    assert showing_only("v100", {})["CUDA_VISIBLE_DEVICES"] == "GPU-ab02"
    machine[1:] = []
    with pytest.raises(UnavailableError, match=r"split into slices \(MIG\).*nvidia-smi -mig 0"):
        devices.require("v100")
    assert showing_only("v100", {}) == {}
