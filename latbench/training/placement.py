"""Where modules lie, and how."""

from __future__ import annotations

import re

import torch
from torch import nn

from latbench.errors import UnavailableError, UsageError

PLACES = "cpu, cuda or cuda:N"
"""How the places where torch trains are written; N counts cards from 0."""

_PLACE = re.compile(r"cpu|cuda(:(?P<card>\d+))?")


def check_place(device: str) -> None:
    """Refuse a place where nothing can be trained here.

    Raises:
        UsageError: it is written otherwise than :data:`PLACES`.
        UnavailableError: it is a card that torch does not find here.
    """
    written = _PLACE.fullmatch(device)
    if written is None:
        raise UsageError(f"nothing is trained on {device!r}; write {PLACES}")
    if device == "cpu":
        return
    if torch.version.cuda is None:
        raise UnavailableError(
            f"nothing is trained on {device} here: torch {torch.__version__} is built without "
            "CUDA; install a torch with it (https://pytorch.org/get-started), or train on cpu"
        )
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(written["card"] or 0) >= found:
        raise UnavailableError(
            f"nothing is trained on {device} here: torch finds {found} cards, which it counts from "
            "0; look at nvidia-smi and CUDA_VISIBLE_DEVICES, or train on cpu"
        )


def place(module: nn.Module, device: str) -> None:
    """Move ``module`` to ``device``, its kernels with channels last in memory.

    That halves the time of batch norm and depthwise convolutions on a CPU; no value changes.

    Raises:
        UsageError, UnavailableError: as :func:`check_place`.
    """
    check_place(device)
    module.to(device)
    # torch's annotations lack this form, which its documentation has.
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
