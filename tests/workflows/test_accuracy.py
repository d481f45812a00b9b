"""The accuracy of an exported network where it may run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from safetensors.torch import save_file

import latbench
from latbench.runtimes import Session
from latbench.runtimes.inputs import Array
from latbench.runtimes.onnxruntime import OnnxRuntime
from latbench.runtimes.openvino import OpenVino
from latbench.runtimes.torch import TorchRuntime
from latbench.spaces import SearchSpace, TensorSpec, Workload
from latbench.spaces.exporting import export_module
from latbench.target import Target
from latbench.training.config import TrainConfig
from latbench.training.data import ImageData, Split, load_data
from latbench.training.retrain import retrain
from latbench.workflows.accuracy import Accuracy, accuracies, answers_of, trained_workload

OPENVINO = OpenVino()


def target_of(runtime: str, precision: str = "fp32", batch: int = 1, threads: int = 1) -> Target:
    """Return a target of a runtime that is here."""
    return latbench.runtime(runtime)().target("cpu", precision, batch, threads)


@pytest.fixture(scope="module")
def data() -> ImageData:
    """Digits as they are."""
    return load_data("digits", image_size=8, channels=1)


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    """Four places on images of 8x8."""
    return latbench.space(
        "digits-mobilenet",
        settings=[[8, 2, 1], [12, 2, 2]],
        image_size=8,
        stem_width=8,
        head_width=32,
    )


@pytest.fixture(scope="module")
def trained(
    space: SearchSpace, data: ImageData, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workload, float]:
    """A network that has learned the digits a little, and its accuracy in torch."""
    x = space.sample(np.random.default_rng(0), 1)[0]
    result = retrain(space, x, data, TrainConfig(epochs=6, batch=32))
    weights = tmp_path_factory.mktemp("trained") / "weights.safetensors"
    state = result.network.state_dict()
    save_file({name: value.contiguous() for name, value in state.items()}, weights)
    model = export_module(result.network, ((50, *data.image_shape),))
    return trained_workload(space, x, model, weights), result.accuracy


def test_every_runtime_runs_the_trained_weights(
    trained: tuple[Workload, float], data: ImageData
) -> None:
    """In fp32 ONNX Runtime, torch and OpenVINO tell what torch told in training."""
    workload, accuracy = trained
    others = ["torch", *(["openvino"] if OPENVINO.available() is None else [])]
    found = accuracies(workload, data.test, [target_of(name) for name in others])
    assert [one.target.runtime for one in found] == ["onnxruntime", *others]
    for one in found:
        # An image or two of the 360 may fall on the other side of a tie.
        assert one.accuracy == pytest.approx(accuracy, abs=1 / 170)
        assert (one.precision_run, one.not_finite, one.reason) == ("fp32", 0, None)
        assert one.changed is not None
        assert one.changed <= 2
        assert one.notes(accuracy) == []
    assert accuracy > 0.5


def test_torch_has_the_very_weights(trained: tuple[Workload, float], data: ImageData) -> None:
    """The module is that of the recipe with the values of the file."""
    workload, _ = trained
    images = {workload.inputs[0].name: data.test.images[:50].numpy()}
    (own,) = TorchRuntime().compile(workload, target_of("torch")).outputs(images)
    (exported,) = OnnxRuntime().compile(workload, target_of("onnxruntime")).outputs(images)
    np.testing.assert_allclose(own.astype(float), exported.astype(float), atol=1e-4)


@pytest.mark.skipif(OPENVINO.available() is not None, reason="openvino is not here")
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_lower_precision_is_read_back(
    trained: tuple[Workload, float], data: ImageData, precision: str
) -> None:
    """OpenVINO's is what its compiled graph says, and a little network bears it."""
    workload, accuracy = trained
    try:
        target = target_of("openvino", precision)
    except latbench.errors.UnavailableError as here:
        pytest.skip(str(here))
    fp32, lower = accuracies(workload, data.test, [target])
    assert (fp32.precision_run, lower.precision_run) == ("fp32", precision)
    assert lower.accuracy == pytest.approx(accuracy, abs=0.05)
    images = {workload.inputs[0].name: data.test.images[:50].numpy()}
    (rounded,) = OPENVINO.compile(workload, target).outputs(images)
    (exact,) = OPENVINO.compile(workload, target_of("openvino")).outputs(images)
    assert (rounded != exact).mean() > 0.5


def test_targets_that_say_the_same_run_once(
    trained: tuple[Workload, float], data: ImageData
) -> None:
    """fp32 by ONNX Runtime is there already, whatever the batch and threads of the target."""
    workload, _ = trained
    same = target_of("onnxruntime", batch=8, threads=2)
    threads = torch.get_num_threads()
    assert len(accuracies(workload, data.test, [same, target_of("torch"), same])) == 2
    assert torch.get_num_threads() == threads


def test_a_refusal_is_told_and_the_others_run(
    trained: tuple[Workload, float], data: ImageData, tmp_path: Path
) -> None:
    """torch runs no ONNX file: that has no accuracy, and a reason."""
    workload, _ = trained
    file = Workload(workload.id, "m.onnx", workload.inputs, workload.model, {"kind": "file"}, 1)
    fp32, refused = accuracies(file, data.test, [target_of("torch")])
    assert fp32.accuracy is not None
    assert (refused.accuracy, refused.precision_run) == (None, None)
    (note,) = refused.notes(fp32.accuracy)
    assert note.startswith("the accuracy on torch fp32 is not known: m.onnx exists as ONNX only")


class Scripted(Session):
    """Answers with the logits that it was given, a batch at a time."""

    def __init__(self, logits: Array, workload: Workload) -> None:
        self.logits, self.inputs = logits, workload.inputs
        self.seen: list[Array] = []

    def run_once(self) -> None: ...

    def _outputs(self, inputs: Mapping[str, Array]) -> list[Array]:
        (images,) = inputs.values()
        start = sum(map(len, self.seen))
        self.seen.append(images)
        answer = np.zeros((len(images), self.logits.shape[1]), self.logits.dtype)
        part = self.logits[start : start + len(images)]
        answer[: len(part)] = part
        return [answer]


def test_the_last_batch_is_filled_up_and_not_counted() -> None:
    """Five images in batches of two: the session always gets two."""
    logits = np.eye(5, 3, dtype=np.float16)
    workload = Workload("g1:x", "x", (TensorSpec("input", (2, 1, 1, 1), "float32"),), b"", {}, 1)
    session = Scripted(logits, workload)
    images = np.arange(5, dtype=np.float32).reshape(5, 1, 1, 1) + 1
    assert answers_of(session, workload, images).tolist() == [0, 1, 2, 0, 0]
    assert [batch.ravel().tolist() for batch in session.seen] == [[1, 2], [3, 4], [5, 0]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_no_answer(value: float) -> None:
    """The largest of logits with a NaN among them would be the NaN's place."""
    logits = np.eye(4, 3)
    logits[1, 2] = value
    workload = Workload("g1:x", "x", (TensorSpec("input", (4, 1, 1, 1), "float32"),), b"", {}, 1)
    images = np.zeros((4, 1, 1, 1), np.float32)
    assert answers_of(Scripted(logits, workload), workload, images).tolist() == [0, -1, 2, 0]


def overflowing() -> ModelProto:
    """Return a model that gives its input back, by way of numbers that fp16 does not hold."""
    nodes = [
        helper.make_node("Flatten", ["input"], ["flat"]),
        helper.make_node("MatMul", ["flat", "up"], ["large"]),
        helper.make_node("Relu", ["large"], ["positive"]),
        helper.make_node("MatMul", ["positive", "down"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "overflow",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [4, 3, 1, 1])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [4, 3])],
        [
            numpy_helper.from_array(np.eye(3, dtype=np.float32) * np.float32(scale), name)
            for name, scale in (("up", 1e4), ("down", 1e-4))
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.skipif(OPENVINO.available() is not None, reason="openvino is not here")
def test_an_overflow_of_a_real_engine_is_told() -> None:
    """100,000 is more than fp16 holds; in fp32 the same network is right."""
    try:
        target = target_of("openvino", "fp16")
    except latbench.errors.UnavailableError as here:
        pytest.skip(str(here))
    content = overflowing().SerializeToString()
    spec = TensorSpec("input", (4, 3, 1, 1), "float32")
    workload = Workload("g1:x", "x", (spec,), content, {"kind": "file"}, 4)
    labels = torch.tensor([0, 1, 2, 0, 1])
    images = 10 * torch.eye(3)[labels].reshape(5, 3, 1, 1)
    fp32, lower = accuracies(workload, Split(images, labels), [target])
    assert (fp32.accuracy, fp32.not_finite) == (1.0, 0)
    assert (lower.accuracy, lower.not_finite, lower.changed) == (0.0, 5, 5)
    overflow, drop = lower.notes(1.0)
    assert "openvino fp16 the network gives NaN or infinite logits for 5 of 5 test" in overflow
    assert "accuracy drops from 100.00% in fp32 to 0.00% on openvino fp16" in drop


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, None),
        ({"accuracy": 0.896}, None),
        ({"accuracy": 0.91}, None),
        ({"accuracy": 0.85, "changed": 40}, "drops from 90.00% in fp32 to 85.00% on torch amp; 40"),
        ({"precision_run": "fp32"}, "torch amp was asked for, and ran in fp32"),
        ({"not_finite": 3}, "NaN or infinite logits for 3 of 500 test images"),
    ],
)
def test_notes_say_what_is_wrong(changes: dict[str, Any], says: str | None) -> None:
    """Nothing where there is nothing; else one sentence."""
    whole: dict[str, Any] = {
        "precision_run": "amp",
        "accuracy": 0.9,
        "changed": 2,
        "not_finite": 0,
        **changes,
    }
    told = Accuracy(Target("cpu", "torch", "2", "amp"), 500, **whole).notes(0.9)
    if says is None:
        assert told == []
    else:
        (note,) = told
        assert says in note
