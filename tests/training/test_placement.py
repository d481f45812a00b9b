"""Where torch trains: what is written otherwise, or is not here, is told before anything begins."""

import pytest
import torch
from torch import nn

from latbench.errors import UnavailableError, UsageError
from latbench.training.placement import check_place, place


def found(monkeypatch: pytest.MonkeyPatch, cards: int, built: str | None = "13.0") -> None:
    """Have torch be built for this CUDA, and find as many cards."""
    monkeypatch.setattr(torch.version, "cuda", built)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cards > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)


@pytest.mark.parametrize("written", ["gpu", "cuda:", "cuda:-1", "cuda:one", "cpu:0", "CUDA", ""])
def test_what_is_written_otherwise_is_refused(written: str) -> None:
    """With the text and the forms that there are."""
    with pytest.raises(UsageError, match="write cpu, cuda or cuda:N") as refused:
        check_place(written)
    assert repr(written) in str(refused.value)


def test_a_torch_without_cuda_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no card whatever stands in the machine; the processor is always there."""
    found(monkeypatch, cards=0, built=None)
    with pytest.raises(UnavailableError, match="built without CUDA; install a torch with it"):
        check_place("cuda")
    check_place("cpu")


@pytest.mark.parametrize(
    ("cards", "there", "missing"),
    [(0, [], ["cuda", "cuda:0"]), (2, ["cuda", "cuda:1"], ["cuda:2"])],
)
def test_cards_are_counted(
    monkeypatch: pytest.MonkeyPatch, cards: int, there: list[str], missing: list[str]
) -> None:
    """From 0; without a number it is the first."""
    found(monkeypatch, cards)
    for name in there:
        check_place(name)
    for name in missing:
        with pytest.raises(UnavailableError, match=f"torch finds {cards} cards"):
            check_place(name)


def test_nothing_is_moved_where_nothing_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every training places its module first, so that the reason comes before the work."""
    found(monkeypatch, cards=0)
    module = nn.Conv2d(3, 4, 3)
    with pytest.raises(UnavailableError):
        place(module, "cuda")
    assert module.weight.is_contiguous()
    place(module, "cpu")
    assert module.weight.is_contiguous(memory_format=torch.channels_last)
