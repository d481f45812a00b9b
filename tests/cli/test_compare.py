"""``latbench compare``: true against accumulated latency, of what is measured already."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Run = Callable[..., Any]


@pytest.fixture
def done(run: Run, measured: Any) -> Any:
    """A comparison of as many networks as the store holds, with a report."""
    options = ("--networks", 12, "--out", "report.html", "--store", measured.url)
    return run("compare", "--space", "digits-mobilenet", *options, "--json")


def test_document(done: Any, measured: Any) -> None:
    """The keys that scripts rely on; the ratios are of the two latencies beside them."""
    found = json.loads(done.out)
    assert set(found) >= {"rows", "mape", "bias", "spearman", "noise_mape"}
    true_ms = {row["arch"]: row["latency_ms"] for row in measured.profiled["rows"] if row["arch"]}
    assert {row["arch"]: row["true_ms"] for row in found["rows"]} == true_ms
    for row in found["rows"]:
        assert row["ratio"] == pytest.approx(row["accumulated_ms"] / row["true_ms"])
    errors = np.array([row["ratio"] for row in found["rows"]]) - 1
    assert found["bias"] == pytest.approx(100 * errors.mean())
    assert found["mape"] == pytest.approx(100 * np.abs(errors).mean())


def test_report(done: Any) -> None:
    """The report is one file that needs nothing from elsewhere."""
    assert done.code == 0, done.err
    page = Path("report.html").read_text(encoding="utf-8")
    assert 'src="http' not in page
    assert "digits-mobilenet" in page
    assert "its kernels in the network" in page


def test_without_a_device_it_says_what_is_missing(run: Run, measured: Any) -> None:
    """What would have to be measured on a device that is not here is not measured elsewhere."""
    done = run("compare", "--device", "v100", "--store", measured.url)
    assert done.code == 1
    assert "no v100 here" in done.err
