"""A user's ONNX files: what is taken, and how what is not is refused before it is compiled."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper

import latbench
from latbench.errors import UsageError
from latbench.runtimes import random_inputs
from latbench.runtimes.onnxruntime import OnnxRuntime
from latbench.spaces.onnx_file import workload_from_file

VARIABLE = "LATBENCH_EVAL_DATA"
WEIGHTLESS = "nnlqp_resnet18-v1-7-no-weight.onnx"
ACCEPTED = {
    "ultraface_version-RFB-320.onnx": (1, 3, 240, 320),
    "ultraface_version-slim-320_simplified.onnx": (1, 3, 240, 320),
    "wonnx_opt-mnist.onnx": (1, 1, 28, 28),
    "proxyless_landmark_detection.onnx": (1, 3, 112, 112),
    "trt_residual_block.onnx": (1, 3, 224, 224),
}


def evaluation_file(name: str) -> Path:
    """Return a file of the evaluation data, or skip with what is missing."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"{VARIABLE} is not set, so there is no onnx/{name}")
    path = Path(folder) / "onnx" / name
    if not path.is_file():
        pytest.skip(f"{VARIABLE} has no file onnx/{name}")
    return path


def tiny(*shape: int | str) -> ModelProto:
    """A valid model: one convolution of images of ``shape``."""
    weights = numpy_helper.from_array(np.ones((2, 3, 3, 3), np.float32), "weights")
    node = helper.make_node("Conv", ["image", "weights"], ["out"], pads=[1, 1, 1, 1])
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape or (1, 3, 8, 8))
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ("n", 2, "height", "width"))
    graph = helper.make_graph([node], "tiny", [image], [out], [weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def save(model: ModelProto, path: Path) -> Path:
    """Write ``model`` as it is, whatever is wrong with it."""
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("name", ACCEPTED)
def test_models_of_others_are_taken_and_run(name: str) -> None:
    """Files of old and new operator sets load; only real inputs count; ONNX Runtime runs them."""
    workload = workload_from_file(evaluation_file(name))
    assert [spec.shape for spec in workload.inputs] == [ACCEPTED[name]]
    runtime = OnnxRuntime()
    session = runtime.compile(workload, runtime.target("cpu"))
    session.run_once()
    outputs = session.outputs(random_inputs(workload.inputs))
    assert outputs
    assert all(np.isfinite(values).all() for values in outputs)


def test_a_model_without_weights_is_refused_by_its_first_initialiser() -> None:
    """The message names the file and the weight that holds no data; there is no workload."""
    with pytest.raises(UsageError, match=rf"{WEIGHTLESS}.*'resnetv15_conv0_weight'"):
        workload_from_file(evaluation_file(WEIGHTLESS))


def test_an_open_batch_is_set(tmp_path: Path) -> None:
    """A named, negative or missing first dimension becomes the batch."""
    firsts: tuple[str | int, ...] = ("batch", -1, 0)
    for number, first in enumerate(firsts):
        path = save(tiny(first, 3, 8, 8), tmp_path / f"{number}.onnx")
        for batch in (1, 4):
            workload = workload_from_file(path, batch)
            assert workload.inputs[0].shape == (batch, 3, 8, 8)
            assert workload.recipe == {"kind": "file", "batch": batch}
        assert workload_from_file(path, 1).id != workload_from_file(path, 4).id


def test_a_fixed_batch_is_not_taken_for_another(tmp_path: Path) -> None:
    """A latency at the file's own batch would be stored under the batch that was asked for."""
    path = save(tiny(1, 3, 8, 8), tmp_path / "one.onnx")
    with pytest.raises(UsageError, match=r"'image' is fixed at 1, not 8; say --batch 1"):
        workload_from_file(path, 8)


def test_open_shapes_are_those_that_are_given(tmp_path: Path) -> None:
    """Each shape is a workload of its own, that of a file in which it is fixed, and runs."""
    path = save(tiny("n", 3, "height", "width"), tmp_path / "open.onnx")
    small, wide = (
        workload_from_file(path, batch, {"image": (batch, 3, *size)})
        for batch, size in ((1, (8, 8)), (2, (8, 16)))
    )
    assert [spec.shape for spec in (*small.inputs, *wide.inputs)] == [(1, 3, 8, 8), (2, 3, 8, 16)]
    assert small.id == workload_from_file(save(tiny(1, 3, 8, 8), tmp_path / "fixed.onnx")).id
    assert small.id != wide.id
    runtime = OnnxRuntime()
    session = runtime.compile(wide, runtime.target("cpu", batch=2))
    (output,) = session.outputs(random_inputs(wide.inputs))
    assert output.shape == (2, 2, 8, 16)


@pytest.mark.parametrize(
    ("shapes", "batch", "message"),
    [
        (
            {"imag": (1, 3, 8, 8)},
            1,
            "has no input 'imag', .* its inputs: 'image'; did you mean 'image'",
        ),
        (
            {"image": (3, 8, 8)},
            1,
            r"'image' has 4 dimensions \(n,3,height,8\), and the shape 3,8,8 has 3; give one",
        ),
        (
            {"image": (1, 1, 8, 8)},
            1,
            "dimension 1 of the input 'image' is fixed at 3, and the shape 1,1,8,8 says 1; give 3",
        ),
        ({"image": (4, 3, 8, 8)}, 1, "'image' is given as 4, not 1; say --batch 4$"),
        ({"image": (1, 3, 8, 8)}, 4, "'image' is given as 1, not 4; say --batch 1$"),
    ],
)
def test_shapes_that_contradict_the_file_are_refused(
    tmp_path: Path, shapes: dict[str, tuple[int, ...]], batch: int, message: str
) -> None:
    """What is fixed stays, every dimension has a size, and the batch is the target's."""
    path = save(tiny("n", 3, "height", 8), tmp_path / "open.onnx")
    with pytest.raises(UsageError, match=message) as refused:
        workload_from_file(path, batch, shapes)
    assert str(refused.value).startswith(str(path))


def test_the_name_of_a_file_does_not_count(tmp_path: Path) -> None:
    """Two files of one graph are one workload."""
    one, other = (save(tiny(), tmp_path / f"{name}.onnx") for name in "ab")
    assert workload_from_file(one).id == workload_from_file(other).id
    assert (workload_from_file(one).name, workload_from_file(other).name) == ("a.onnx", "b.onnx")


def test_functions_are_known_by_what_they_compute(tmp_path: Path) -> None:
    """Two functions of one name with other bodies are other workloads."""

    def calling(operator: str) -> ModelProto:
        model = tiny()
        model.graph.node[0].output[0] = "c"
        model.graph.node.append(helper.make_node("Act", ["c"], ["out"], domain="own"))
        model.opset_import.append(helper.make_opsetid("own", 1))
        body = [helper.make_node(operator, ["a"], ["b"])]
        opsets = [helper.make_opsetid("", 17)]
        model.functions.append(helper.make_function("own", "Act", ["a"], ["b"], body, opsets))
        return model

    first, second = (
        workload_from_file(save(calling(operator), tmp_path / "f.onnx"))
        for operator in ("Relu", "Sigmoid")
    )
    assert first.id != second.id
    plain = tiny()
    plain.graph.node[0].output[0] = "c"
    plain.graph.node.append(helper.make_node("Relu", ["c"], ["out"]))
    assert workload_from_file(save(plain, tmp_path / "p.onnx")).id == first.id


def external(location: str) -> ModelProto:
    """A model whose weights lie in another file."""
    model = tiny()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return model


def external_constant() -> ModelProto:
    """The same in a Constant node."""
    model = external("../secret")
    node = helper.make_node("Constant", [], ["weights"], value=model.graph.initializer[0])
    del model.graph.initializer[:]
    model.graph.node.insert(0, node)
    return model


def sparse() -> ModelProto:
    """A model whose weights are sparse."""
    model = tiny()
    values = numpy_helper.from_array(np.ones(1, np.float32), "weights")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "indices")
    del model.graph.initializer[:]
    dense = (2, 3, 3, 3)
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, dense))
    return model


def short_weights() -> ModelProto:
    """A model whose weights hold fewer values than their shape says."""
    model = tiny()
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]
    return model


def dangling() -> ModelProto:
    """A model whose node reads what nothing makes."""
    model = tiny()
    model.graph.node[0].input[0] = "nowhere"
    return model


def unknown_operator() -> ModelProto:
    """A model with an operator that the standard does not have."""
    model = tiny()
    model.graph.node[0].op_type = "Konv"
    return model


def without_shape() -> ModelProto:
    """A model whose input has a type but no shape."""
    model = tiny()
    model.graph.input[0].type.tensor_type.ClearField("shape")
    return model


def without_output() -> ModelProto:
    """A model that gives nothing."""
    model = tiny()
    del model.graph.output[:]
    return model


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: external("weights.bin"), "keeps the weights of 'weights' in another file"),
        (lambda: external("../secret"), "in another file"),
        (lambda: external("/etc/passwd"), "in another file"),
        (lambda: external("latbench:seeded"), "in another file"),
        (external_constant, "in another file"),
        (sparse, "'weights' sparse"),
        (short_weights, "declares the weight 'weights' of shape"),
        (dangling, "not a valid ONNX model"),
        (without_shape, "'image' has no tensor shape"),
        (without_output, "not a valid ONNX model|has no output"),
        (
            lambda: tiny("n", 3, "height", -1),
            r"'image' \(n,3,height,\?\) is open in dimension 2 and 3; "
            r"say --input-shape image=1,3,SIZE,SIZE$",
        ),
        (lambda: tiny(1, 3, 8, -1), r"'image' \(1,3,8,\?\) is open in dimension 3"),
        (unknown_operator, "not a valid ONNX model"),
        (ModelProto, "is empty"),
    ],
)
def test_unusable_models_are_refused(
    tmp_path: Path, make: Callable[[], ModelProto], message: str
) -> None:
    """Each is refused with its file's name and what is wrong with it."""
    path = save(make(), tmp_path / "broken.onnx")
    with pytest.raises(UsageError, match=message) as refused:
        workload_from_file(path)
    assert str(refused.value).startswith(str(path))


def test_external_weights_are_never_read(tmp_path: Path) -> None:
    """A model may not have a file read, not even one that exists and lies where it may."""
    (tmp_path / "weights.bin").write_bytes(b"\0" * 216)
    path = save(external("weights.bin"), tmp_path / "model.onnx")
    with pytest.raises(UsageError, match="in another file"):
        workload_from_file(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (json.dumps({"format": "latbench-architecture"}).encode(), "no ONNX"),
        (b"\x00" * 64, "no ONNX"),
        (b"not a model at all", "no ONNX"),
        (b"\x80\x04\x95", "no ONNX"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """What is no ONNX model is refused in one line."""
    path = tmp_path / "other.onnx"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message) as refused:
        workload_from_file(path)
    assert "\n" not in str(refused.value)


def test_missing_files_are_refused(tmp_path: Path) -> None:
    """No such file, and a folder, are UsageErrors that name it."""
    for path in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            workload_from_file(path)


VALID = latbench.space("nasbench201", image_size=8, cells=1, width=4).to_onnx([3] * 6)
WHOLE = VALID.SerializeToString(deterministic=True)


def _taken_or_refused(folder: Path, content: bytes) -> None:
    path = folder / "fuzzed.onnx"
    path.write_bytes(content)
    with contextlib.suppress(UsageError):
        assert workload_from_file(path).id.startswith("g1:")


fuzzed = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(st.integers(0, len(WHOLE) - 1))
@fuzzed
def test_truncated_files_are_refused(tmp_path: Path, length: int) -> None:
    """A file cut off anywhere is refused, never half read."""
    path = tmp_path / "short.onnx"
    path.write_bytes(WHOLE[:length])
    with pytest.raises(UsageError):
        workload_from_file(path)


@given(st.binary(max_size=200))
@fuzzed
def test_random_bytes_raise_nothing_else(tmp_path: Path, content: bytes) -> None:
    """Whatever a file holds, it is taken or it is a UsageError."""
    _taken_or_refused(tmp_path, content)


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=5))
@fuzzed
def test_damaged_files_raise_nothing_else(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    """A model with a few wrong bytes is taken or it is a UsageError."""
    content = bytearray(WHOLE)
    for position, value in changes:
        content[position] = value
    _taken_or_refused(tmp_path, bytes(content))
