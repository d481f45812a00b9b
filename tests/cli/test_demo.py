"""``latbench demo``: the whole way, on measurements that are there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]


def test_demo(run: Run, measured: Any, copy_of: Callable[[str], str]) -> None:
    """It finds a network within its target and leaves the network, a predictor and a report."""
    small = ("--networks", 8, "--epochs", 1, "--evaluations", 8)
    done = run("demo", *small, "--store", copy_of(measured.url), "--out", "page.html", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert set(found) >= {"arch", "predicted_ms", "accumulated_ms", "true_ms", "met", "seconds"}
    assert found["predicted_ms"] <= found["target_ms"]
    assert found["evaluations"] == 8
    assert Path("latbench-demo/network.onnx").is_file()
    assert list(Path("latbench-predictors").glob("*/predictor.json"))
    assert "digits-mobilenet" in Path("page.html").read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_made_is_told(run: Run) -> None:
    """A file in the place of the demo's folder is named before anything is measured."""
    Path("latbench-demo").write_text("", encoding="utf-8")
    done = run("demo")
    assert (done.code, done.out) == (2, "")
    assert "latbench-demo cannot be made here" in done.err
