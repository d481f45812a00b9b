"""``latbench train``: one architecture trained, exported, checked and timed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

Run = Callable[..., Any]


def test_document(run: Run, searched: Any) -> None:
    """The exported network is as accurate as the trained one, and as fast as measured before."""
    done = run(
        *("train", "--arch", searched.folder / "arch.json", "--epochs", 1, "--data-size", 8),
        *("--store", searched.url, "--out", "trained", "--json"),
    )
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert set(found) >= {"accuracy", "accuracy_exported", "true_ms"}
    # One image of the 360 may fall on the other side of a tie.
    assert found["accuracy_exported"] == pytest.approx(found["accuracy"], abs=1 / 300)
    assert found["true_ms"] == searched.found["true_ms"]
    model = onnx.load("trained/network.onnx")
    onnx.checker.check_model(model)
    (images,) = model.graph.input
    assert [dim.dim_value for dim in images.type.tensor_type.shape.dim] == [1, 1, 8, 8]


@pytest.mark.parametrize(
    ("content", "arguments", "says"),
    [
        (None, "", "arch.json cannot be read"),
        ("no JSON", "", "arch.json holds no JSON"),
        ("[]", "", "this is another file"),
        ('{"space": {"name": 3}}', "", "names no space; give --space"),
        ("whole", "--space fbnet", "the architecture is one of"),
        ("whole", "--data cifar", "no data set 'cifar'; known: digits"),
        ("whole", "--epochs 0", "'--epochs'"),
    ],
)
def test_what_cannot_be_is_one_line(
    run: Run, searched: Any, content: str | None, arguments: str, says: str
) -> None:
    """A file that is no architecture of the space, and unknown data, are told by name."""
    if content is not None:
        whole = (searched.folder / "arch.json").read_text(encoding="utf-8")
        Path("arch.json").write_text(whole if content == "whole" else content, encoding="utf-8")
    done = run("train", "--arch", "arch.json", *arguments.split())
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert says in line
