"""Of all that TensorRT tells a logger, the reason that people read is the one that helps them."""

from __future__ import annotations

from typing import Any

import pytest

from latbench.runtimes.tensorrt_messages import messages, reason
from tests.runtimes.fake_cuda import FakeGpu
from tests.runtimes.fake_tensorrt import make_tensorrt

SHOWN = {"n0": "stem", "n5": "head"}
SKIPPED = "Error Code: 9: Skipping tactic 0x0 due to exception in n0"
FOLLOWS = "2: Error Code 2: Internal Error (Assertion engine != nullptr failed. )"
NAMED = "10: Error Code 10: (Could not find any implementation for node n5 + n0.)"
UNNAMED = "10: Error Code 10: (Could not find any implementation for node (Unnamed Layer* 3).)"
SHORT = "2: [virtualMemoryBuffer.cpp::145] Error Code 2: OutOfMemory (no further information)"


@pytest.fixture
def trt() -> Any:
    """A TensorRT whose logger is empty."""
    return make_tensorrt("10.4.0", FakeGpu())


def said(trt: Any, *texts: str) -> str:
    """Return the reason after errors with these texts."""
    for text in texts:
        messages(trt).log(trt.ILogger.ERROR, text)
    return reason(trt, SHOWN)


def test_an_error_that_names_a_node_is_the_reason(trt: Any) -> None:
    """By the name that people know; skipped tactics name nodes too, and end nothing."""
    found = "10: Error Code 10: (Could not find any implementation for node head + stem.)"
    assert said(trt, SKIPPED, NAMED, FOLLOWS) == found
    assert said(trt, FOLLOWS, NAMED) == found


def test_without_names_the_first_error_is_the_reason(trt: Any) -> None:
    """Others follow from it; a skipped tactic is better than nothing."""
    assert said(trt, SKIPPED, UNNAMED, FOLLOWS) == UNNAMED
    assert said(trt, SKIPPED) == "Error Code: 9: Skipping tactic 0x0 due to exception in stem"
    assert said(trt) == "it gives no reason"


def test_what_to_do_about_memory_is_said_whichever_error_tells_of_it(trt: Any) -> None:
    """A kernel that needs more than there is leaves its node without any."""
    assert said(trt, SHORT, NAMED).endswith(
        "node head + stem.); take a smaller batch, or end what "
        "else uses the GPU (nvidia-smi lists it)"
    )


def test_a_warning_is_a_reason_only_where_cuda_does_not_start(trt: Any) -> None:
    """Versions below 10 tell no error of it."""
    logger, warning = messages(trt), trt.ILogger.WARNING
    logger.log(warning, "weights were clamped")
    assert logger.take() == ""
    logger.log(warning, "CUDA initialization failure\nwith error: 35.")
    assert logger.take() == "CUDA initialization failure with error: 35."
    assert logger.take() == ""
