"""``latbench profile``: what it prints, what it takes again, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import latbench
from latbench.errors import MeasurementError
from latbench.profiling.process import LocalExecutor
from latbench.spaces.weights import with_weights

Run = Callable[..., Any]

BOTH = ("--runtime", "onnxruntime", "--runtime", "onnxruntime:fp32", "--runtime", "torch")
QUICK = ("--space", "digits-mobilenet", "--protocol", "quick")


def test_document(measured: Any) -> None:
    """The keys that scripts rely on, one row a subject, each with its whole target."""
    found = measured.profiled
    assert set(found) >= {"targets", "measured", "reused", "failed", "rows"}
    assert (found["failed"], found["reused"]) == ([], 0)
    assert len(found["rows"]) == 22 + 12
    assert found["measured"] == 22 + 12 + 8
    for row in found["rows"]:
        assert set(row) >= {"workload", "arch", "target", "low_ms", "high_ms", "p90_ms", "status"}
        assert set(row["target"]) >= {"device", "runtime", "precision", "batch", "threads"}
        assert row["low_ms"] <= row["latency_ms"] <= row["high_ms"]
        assert (row["arch"] is not None) == (row["kind"] == "network")


def test_what_is_there_is_not_measured_again(
    run: Run, measured: Any, copy_of: Callable[[str], str]
) -> None:
    """The same command finds everything in the store, and says the same."""
    url = copy_of(measured.url)
    amount = ("--blocks", "--networks", 12, "--repeats", 8)
    done = run("profile", *QUICK, *amount, "--store", url, "--json")
    again = json.loads(done.out)
    assert (again["measured"], again["reused"]) == (0, 22 + 12 + 8)
    assert again["rows"] == measured.profiled["rows"]


def test_half_of_the_work_is_not_done_twice(
    run: Run, measured: Any, copy_of: Callable[[str], str]
) -> None:
    """A longer draw begins with the networks of a shorter one."""
    url = copy_of(measured.url)
    done = run("profile", *QUICK, "--networks", 13, "--repeats", 0, "--store", url, "--json")
    more = json.loads(done.out)
    assert (more["measured"], more["reused"]) == (1, 12)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--networks 3 --repeats 4", "--repeats 4 is more than the 3 networks"),
        ("--networks -1", "'--networks'"),
        ("--budget 5", "'5' has no unit; write 5ms"),
        ("--model net.onnx --space fbnet", "add --blocks or --networks N"),
        ("--networks 1 --space digits-mobilnet", "did you mean 'digits-mobilenet'?"),
        ("--input-shape image=1,3,8,8", "--input-shape is for ONNX files; add --model F.onnx"),
        ("--model n.onnx --input-shape image", "'image' is not NAME=SIZE,SIZE,…"),
        ("--model n.onnx --input-shape image=1,3,0", "such as image=1,3,224,224"),
        ("--model n.onnx --input-shape a=1 --input-shape a=2", "gives 'a' more than once"),
        ("--networks 1 --device v100", "no v100 here"),
        ("--networks 1 --runtime onnxruntime:fp16", "no precision 'fp16'"),
        ("--networks 1 --protocol fast", "'--protocol'"),
        ("--networks 1 --executor slurm", "'--executor': 'slurm' is no place to measure"),
        ("--networks 1 --executor ray://", "write local, ray or ray://HOST:10001"),
        ("--networks 1 --executor ray://head:0", "write local, ray or ray://HOST:10001"),
    ],
)
def test_what_cannot_be_is_one_line(run: Run, arguments: str, says: str) -> None:
    """Bad input is one line that says what is wrong; nothing was written."""
    done = run("profile", *arguments.split())
    assert done.code in (1, 2)
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert says in line
    assert not Path("latbench.db").exists()


def test_a_gpu_that_is_not_here_ends_in_one_message(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was looked for, what is here, and the two ways on; nothing was written."""
    monkeypatch.setenv("PATH", "")  # no nvidia-smi, whatever machine this is
    for runtime in ((), ("--runtime", "tensorrt:fp16")):
        done = run("profile", "--networks", 1, "--device", "v100", *runtime)
        assert (done.code, done.out) == (1, "")
        (line,) = done.err.splitlines()
        assert "no v100 here: looked for" in line
        assert "no NVIDIA GPU (nvidia-smi is not installed)" in line
        assert "Run latbench on a machine that has a v100" in line
        assert "--executor ray://" in line
    assert not Path("latbench.db").exists()


@pytest.mark.parametrize(
    ("content", "says"), [(None, "No such file"), ("no model", "net.onnx"), ("", "net.onnx")]
)
def test_a_file_that_is_no_model_is_refused(run: Run, content: str | None, says: str) -> None:
    """A file that is missing, or is no ONNX, is named in one line, before there is a store."""
    if content is not None:
        Path("net.onnx").write_text(content, encoding="utf-8")
    done = run("profile", "--model", "net.onnx")
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert "net.onnx" in line
    assert says in line
    assert not Path("latbench.db").exists()


@pytest.fixture(scope="module")
def both(answer: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    """Five networks on two runtimes: the URL of their store, and the document."""
    url = f"sqlite:///{tmp_path_factory.mktemp('both') / 'measured.db'}"
    amount = ("--networks", 5, "--repeats", 0, "--store", url)
    return url, answer("profile", *QUICK, *amount, *BOTH)


def test_runtimes_side_by_side_in_the_document(both: tuple[str, Any]) -> None:
    """Every row of the second runtime says how many times as fast it is, within which bounds."""
    _, found = both
    assert [target["runtime"] for target in found["targets"]] == ["onnxruntime", "torch"]
    assert found["measured"] == len(found["rows"]) == 10
    first, second = found["rows"][:5], found["rows"][5:]
    for base, row in zip(first, second, strict=True):
        assert base["arch"] == row["arch"]
        assert "speedup" not in base
        assert row["speedup"] == pytest.approx(base["latency_ms"] / row["latency_ms"])
        assert row["speedup_low"] <= row["speedup"]
        assert row["speedup_high"] is None or row["speedup"] <= row["speedup_high"]
    (mean,) = found["speedups"]
    assert (mean["runtime"], mean["than"], mean["subjects"]) == (
        "torch fp32",
        "onnxruntime fp32",
        5,
    )
    (pair,) = found["ranking"]
    assert pair["networks"] == 5
    assert -1 <= pair["spearman"] <= 1


def test_runtimes_side_by_side_in_the_table(
    run: Run, both: tuple[str, Any], copy_of: Callable[[str], str]
) -> None:
    """One row a network, one column a runtime, and the sentences that sum it up."""
    url, found = both
    amount = ("--networks", 5, "--repeats", 0, "--store", copy_of(url))
    done = run("profile", *QUICK, *amount, *BOTH)
    assert done.code == 0
    lines = done.out.splitlines()
    (head,) = [line for line in lines if "what" in line]
    assert head.index("onnxruntime fp32") < head.index("torch fp32")
    for row in found["rows"][5:]:
        (line,) = [line for line in lines if row["name"] in line]
        assert f"{row['speedup']:.3g}×" in line
    mean = found["speedups"][0]["geometric_mean"]
    assert f"torch fp32 is {mean:.3g}× as fast as onnxruntime fp32" in done.out
    assert "Spearman rank correlation of 5 networks" in done.out
    assert "0 measured now, 10 were there" in done.out


def test_one_runtime_has_no_speedup(measured: Any) -> None:
    """With one runtime there is nothing to compare: the document stays as it was."""
    assert not {"speedups", "ranking"} & set(measured.profiled)
    assert not any("speedup" in row for row in measured.profiled["rows"])


def test_failures_say_on_which_runtime(run: Run, tmp_path: Path) -> None:
    """A file that one runtime cannot take fails there alone, and has its latency elsewhere."""
    space = latbench.space("digits-mobilenet")
    model = with_weights(space.block_workload(space.blocks[1]).model)
    Path("block.onnx").write_bytes(model.SerializeToString())
    done = run("profile", "--model", "block.onnx", "--protocol", "quick", *BOTH, "--json")
    found = json.loads(done.out)
    (failure,) = found["failed"]
    assert (failure["workload"], failure["runtime"]) == ("block.onnx", "torch fp32")
    assert "exists as ONNX only" in failure["reason"]
    assert [row["latency_ms"] is None for row in found["rows"]] == [False, True]
    assert found["speedups"] == found["ranking"] == []


def test_outputs_that_are_no_numbers_are_a_failure(run: Run) -> None:
    """A latency of NaN is none: they run at another speed, and nobody would deploy them."""
    make = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Abs", ["x"], ["a"]),
        helper.make_node("Neg", ["a"], ["n"]),
        helper.make_node("Sqrt", ["n"], ["y"]),
    ]
    values = (make(name, TensorProto.FLOAT, [1, 8]) for name in "xy")
    graph = helper.make_graph(nodes, "g", [next(values)], [next(values)])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), "nan.onnx")
    done = run("profile", "--model", "nan.onnx", "--protocol", "quick", "--json")
    assert done.code == 1
    (failure,) = json.loads(done.out)["failed"]
    assert "8 of 8 values that it gives are NaN or infinite" in failure["reason"]


def test_outputs_far_from_fp32_are_noted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A precision that is not fp32 says how far it is off, and more than a little is told."""
    amount = ("--networks", 1, "--repeats", 0, "--runtime", "torch:amp")
    done = run("profile", *QUICK, *amount, "--json")
    (row,) = json.loads(done.out)["rows"]
    assert 1e-4 < row["relative_l2"] < 0.05
    assert "relative L2" not in done.err
    monkeypatch.setattr("latbench.runtimes.numerics.GREATEST_RELATIVE_L2", 1e-4)
    done = run("profile", *QUICK, *amount)
    assert "torch amp: its outputs are" in done.err
    assert "from those in fp32 (relative L2)" in done.err


def test_shapes_that_a_file_leaves_open(run: Run) -> None:
    """They are said on the command line; without them the input and its open sizes are named."""
    make = helper.make_tensor_value_info
    shape: list[str | int | None] = ["batch", 3, "height", "width"]
    given, gives = (make(name, TensorProto.FLOAT, shape) for name in ("in:0", "out"))
    nodes = [helper.make_node("Relu", ["in:0"], ["out"])]
    graph = helper.make_graph(nodes, "g", [given], [gives])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), "open.onnx")
    options = ("profile", "--model", "open.onnx", "--protocol", "quick", "--json")
    refused = run(*options)
    assert (refused.code, refused.out) == (2, "")
    assert "'in:0' (batch,3,height,width) is open in dimension 2 and 3" in refused.err
    assert not Path("latbench.db").exists()
    found = [
        json.loads(run(*options, "--input-shape", f"in:0=1,3,{size},{size}").out)
        for size in (8, 16, 8)
    ]
    small, large, again = (one["rows"][0]["workload"] for one in found)
    assert small == again != large
    assert [one["measured"] for one in found] == [1, 1, 0]


@pytest.fixture
def network() -> Path:
    """An ONNX file of a small network."""
    space = latbench.space("digits-mobilenet", image_size=16)
    path = Path("net.onnx")
    path.write_bytes(space.to_onnx(np.ones(8, dtype=np.int64)).SerializeToString())
    return path


def test_kernels_of_a_file(run: Run, network: Path) -> None:
    """Each node of the file is in one kernel, with times that a run holds; the table says it."""
    options = ("profile", "--model", network, "--kernels", "--protocol", "quick")
    found = json.loads(run(*options, "--json").out)
    keys = {"workload", "name", "kind", "nodes", "time_ms", "precision"}
    assert all(keys <= set(kernel) for kernel in found["kernels"])
    nodes = [node for kernel in found["kernels"] for node in kernel["nodes"]]
    nodes += [row["node"] for row in found["folded"]]
    assert sorted(nodes) == sorted(node.name for node in onnx.load(network).graph.node)
    (sums,) = found["compiled"]
    assert sums["sum_ms"] == pytest.approx(sum(row["time_ms"] for row in found["kernels"]))
    assert sums["latency_ms"] == found["rows"][0]["latency_ms"]
    shown = run(*options).out
    assert "source nodes" in shown
    for line in ("sum of kernels", "whole profiled run", "timed latency", "inserted", "folded"):
        assert f"\n{line}" in shown


def test_a_runtime_that_does_not_tell_its_kernels(
    run: Run, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The latency is printed all the same; one line says why there are no kernels."""

    def refuse(*_: object) -> None:
        raise MeasurementError("its kernels are not known: the engine keeps them secret")

    monkeypatch.setattr(LocalExecutor, "describe", refuse)
    options = ("--kernels", "--protocol", "quick", "--json")
    done = run("profile", "--model", network, *options)
    assert done.code == 1
    found = json.loads(done.out)
    assert found["rows"][0]["latency_ms"] > 0
    assert found["kernels"] == []
    assert done.err.splitlines()[-1].endswith("net.onnx: " + found["failed"][0]["reason"])
