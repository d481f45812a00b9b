"""What NVML tells of a card is read, and what it does not tell is None or a reason."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from latbench.devices import CardState, watch_card
from latbench.errors import UsageError
from tests.runtimes.fake_cuda import FakeGpu, make_pynvml


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGpu]:
    """A card whose driver has NVML; whoever starts it ends it."""
    gpu = FakeGpu()
    for name, module in make_pynvml(gpu).items():
        monkeypatch.setitem(sys.modules, name, module)
    yield gpu
    assert gpu.watched == 0


def test_the_state_of_a_card(gpu: FakeGpu) -> None:
    """Units are those of people, and it is JSON."""
    gpu.throttle = 0x04 | 0x40 | 0x01
    watch, reason = watch_card("v100")
    assert watch is not None
    assert reason is None
    held = ("software power cap", "hardware thermal slowdown")
    assert watch.state() == CardState("550.1", 1380, 1530, 41, 300.0, held)
    assert watch.state().to_dict()["slowdowns"] == list(held)
    del watch


@pytest.mark.parametrize("bits", [0x0, 0x1, 0x2, 0x10, 0x100])
def test_an_idle_card_is_not_slowed(gpu: FakeGpu, bits: int) -> None:
    """Idling, clocks that somebody set, and a group's boost are no heat and no lack of power."""
    gpu.throttle = bits
    watch, _ = watch_card("v100")
    assert watch is not None
    assert watch.slowdowns() == ()
    del watch


def test_what_a_card_does_not_tell_is_none(gpu: FakeGpu) -> None:
    """A partitioned card hides it, and new ones have no clocks to set for applications."""
    gpu.throttle = gpu.clock_set_mhz = gpu.power_cap_mw = None
    watch, _ = watch_card("v100")
    assert watch is not None
    assert watch.slowdowns() is None
    told = watch.state().to_dict()
    assert [told[name] for name in ("slowdowns", "sm_clock_set_mhz", "power_cap_w")] == [None] * 3
    assert told["driver"] == "550.1"
    del watch


@pytest.mark.usefixtures("gpu")
def test_another_card_is_not_watched() -> None:
    """The name decides, as it does for the device."""
    assert watch_card("h100") == (None, "NVML shows no h100")


@pytest.mark.usefixtures("gpu")
def test_a_driver_without_nvml_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the package is there and the driver is not."""
    nvml = sys.modules["pynvml"]

    def refuse() -> None:
        raise nvml.NVMLError("NVML Shared Library Not Found")

    monkeypatch.setattr(nvml, "nvmlInit", refuse)
    watch, reason = watch_card("v100")
    assert watch is None
    assert reason == (
        "NVML does not start (NVML Shared Library Not Found); nvidia-smi should list the card"
    )


def lose(monkeypatch: pytest.MonkeyPatch, *kept: str) -> None:
    """Let every call of NVML fail as on a card that fell off the bus, but for those ``kept``."""
    nvml = sys.modules["pynvml"]

    class NVMLError_GpuIsLost(nvml.NVMLError):  # type: ignore[name-defined,misc]
        pass

    def refuse(*what: object) -> None:
        raise NVMLError_GpuIsLost("GPU is lost")

    for name in vars(nvml).copy():
        if name.startswith(("nvmlDevice", "nvmlSystem")) and name not in kept:
            monkeypatch.setattr(nvml, name, refuse)


@pytest.mark.usefixtures("gpu")
def test_a_card_that_is_lost_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever NVML refuses while a card is watched ends neither a sweep nor a worker."""
    watch, _ = watch_card("v100")
    assert watch is not None
    lose(monkeypatch)
    assert watch.slowdowns() is None
    assert watch.state() == CardState(None, None, None, None, None, None)
    del watch


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("kept", [(), ("nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex")])
def test_cards_that_nvml_refuses_are_a_reason(
    monkeypatch: pytest.MonkeyPatch, kept: tuple[str, ...]
) -> None:
    """NVML was started, and is ended again."""
    lose(monkeypatch, *kept)
    reason = "NVML does not tell the cards (GPU is lost); nvidia-smi should list them"
    assert watch_card("v100") == (None, reason)


def test_a_missing_package_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measuring goes on without it, and the provenance says why it tells nothing."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert watch_card("v100") == (
        None,
        "the package nvidia-ml-py is not installed; run: pip install nvidia-ml-py",
    )


def test_only_cards_are_watched() -> None:
    """A processor has none, and a device that nobody described is an error."""
    assert watch_card("cpu") == (None, None)
    with pytest.raises(UsageError, match="did you mean 'v100'"):
        watch_card("v1000")
