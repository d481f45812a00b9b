"""Tables of block latencies in YAML: sums, what a space takes of them, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import latbench
from latbench.errors import MissingMeasurementsError, UsageError
from latbench.spaces import Identity
from latbench.spaces.convolution import ConvBlock, InvertedResidual
from latbench.workflows import proxyless_table
from latbench.workflows.evaluate import evaluate
from latbench.workflows.protocols import proxyless_lut
from latbench.workflows.protocols.rows import Request
from latbench_predictors.lut import LUT

DATA = os.environ.get("LATBENCH_EVAL_DATA") or None
needs_data = pytest.mark.skipif(DATA is None, reason="LATBENCH_EVAL_DATA names no data")

FIRST = "Conv-input:224x224x3-output:112x112x32"
SPACE = latbench.space("mobilenet")


def entry(mean: float, var: float = 0.25) -> dict[str, Any]:
    """Return what a table says of a block."""
    return {"count": 10, "mean": mean, "var": var}


def written(data: object, folder: Path) -> Path:
    """Write a table, and return its path."""
    path = folder / proxyless_lut.FILE
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


def whole() -> dict[str, dict[str, Any]]:
    """Return a table of every block of the space: the n-th takes n ms."""
    keys: dict[str, None] = {}
    for block in SPACE.blocks:
        keys |= dict.fromkeys(proxyless_table.keys_of(block.operation, block.input_shapes[0]) or ())
    for expansion, kernel in proxyless_lut.NETWORKS.values():
        keys |= dict.fromkeys(proxyless_lut.keys(expansion, kernel))
    return {key: entry(number) for number, key in enumerate(keys, start=1)}


def test_keys_are_those_of_the_format() -> None:
    """A map is height x width x channels; the shortcut is told."""
    block = InvertedResidual(24, 24, 5, 1, 6)
    assert proxyless_table.keys_of(block, (24, 56, 28)) == [
        "expanded_conv-input:56x28x24-output:56x28x24-expand:6-kernel:5-stride:1-idskip:1"
    ]
    strided = InvertedResidual(24, 24, 7, 2, 3)
    assert proxyless_table.keys_of(strided, (24, 56, 56)) == [
        "expanded_conv-input:56x56x24-output:28x28x24-expand:3-kernel:7-stride:2-idskip:0"
    ]
    assert proxyless_table.keys_of(ConvBlock(3, 32, 3, 2), (3, 224, 224)) == [FIRST]
    assert proxyless_table.keys_of(InvertedResidual(24, 24, 5, 1, 6, groups=2), (24, 8, 8)) is None
    assert proxyless_table.keys_of(Identity(), (24, 8, 8)) is None


def test_a_sum_counts_what_occurs_twice_twice(tmp_path: Path) -> None:
    """Means add up, and so do variances."""
    table = proxyless_table.read(written({"a": entry(1.5), "b": entry(2.0, 0.5)}, tmp_path))
    total = table.total(["a", "b", "a"])
    assert total.latency_ms == 5.0
    assert total.deviation_ms == 1.0
    assert table.total([]) == proxyless_table.Total(0.0, 0.0)


def test_an_absent_key_is_refused(tmp_path: Path) -> None:
    """It is no zero, and the nearest key is named."""
    table = proxyless_table.read(written({FIRST: entry(1.0)}, tmp_path))
    with pytest.raises(MissingMeasurementsError, match=f"did you mean '{FIRST}'"):
        table.total([FIRST, FIRST.replace("32", "16")])


def test_a_lookup_table_sums_the_blocks_of_architectures(tmp_path: Path) -> None:
    """Each block of the space has the sum of its keys; a skipped one takes no time."""
    data = whole()
    blocks = proxyless_table.read(written(data, tmp_path)).blocks(SPACE)
    assert set(blocks) == {block.key for block in SPACE.blocks}
    lut = LUT(SPACE, blocks)
    options = [choice.options for choice in SPACE.choices]
    x = np.array([[names.index("mb3k3") for names in options]])
    shorter = x.copy()
    shorter[0, 1] = options[1].index("skip")
    removed = "expanded_conv-input:56x56x24-output:56x56x24-expand:3-kernel:3-stride:1-idskip:1"
    assert lut.accumulated(x)[0] == sum(data[key]["mean"] for key in proxyless_lut.keys(3, 3))
    assert lut.accumulated(x)[0] - lut.accumulated(shorter)[0] == data[removed]["mean"]


def test_a_hole_is_refused_by_the_architectures_that_need_it(tmp_path: Path) -> None:
    """Others are summed as before."""
    data = whole()
    del data["expanded_conv-input:7x7x192-output:7x7x320-expand:6-kernel:7-stride:1-idskip:0"]
    lut = LUT(SPACE, proxyless_table.read(written(data, tmp_path)).blocks(SPACE))
    x = np.zeros((1, len(SPACE.choices)), dtype=np.int64)
    assert lut.accumulated(x)[0] > 0
    x[0, -1] = SPACE.choices[-1].options.index("mb6k7")
    with pytest.raises(MissingMeasurementsError, match="mb-e6-k7-s1-c192-320"):
        lut.accumulated(x)


def test_a_table_for_another_resolution_is_refused(tmp_path: Path) -> None:
    """Nothing is interpolated."""
    table = proxyless_table.read(written(whole(), tmp_path))
    with pytest.raises(UsageError, match="none of the 68 blocks"):
        table.blocks(latbench.space("mobilenet", image_size=160))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no table of blocks"),
        ("- 1", "no table of blocks"),
        ("a: [", "is no YAML file"),
        ("a: !!python/object/apply:os.getcwd []", "is no YAML file"),
        ("a: 3", "the block 'a' has"),
        ("a: {count: 3, mean: 1.0}", "var: Field required"),
        ("a: {count: 3, mean: 0.0, var: 0.0}", "mean: Input should be greater than 0"),
        ("a: {count: 3, mean: .nan, var: 0.0}", "mean: Input should be"),
        ("a: {count: 3, mean: fast, var: 0.0}", "mean: Input should be a valid number"),
    ],
)
def test_another_file_is_refused(text: str, says: str, tmp_path: Path) -> None:
    """What is wrong is told with the file, in one line; nothing in it is run."""
    path = tmp_path / "table.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=says) as caught:
        evaluate("proxyless-lut", Request(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_labels_mean_nothing_to_a_sum(tmp_path: Path) -> None:
    """They are refused rather than ignored."""
    with pytest.raises(UsageError, match="leave --labels out"):
        evaluate("proxyless-lut", Request(written(whole(), tmp_path), labels=(10,)))


@needs_data
def test_sums_come_out_as_told() -> None:
    """Three networks, to the digits that were told; the deviation of each is beside."""
    rows = {
        (row.method, row.score): row for row in evaluate("proxyless-lut", Request(Path(DATA or "")))
    }
    keys, told = rows["latbench, keys", "sum_ms"], rows["sums as told", "sum_ms"]
    assert keys.scores == pytest.approx(dict(told.scores), abs=5e-4)
    lut = rows["latbench lut, first block with kernel 3", "sum_ms"]
    for name in ("E 3, K 3", "E 6, K 3"):
        assert lut.scores[name] == pytest.approx(told.scores[name], abs=5e-4)
    assert all(0 < (one or 0) < 5 for one in rows["latbench, keys", "deviation_ms"].scores.values())
