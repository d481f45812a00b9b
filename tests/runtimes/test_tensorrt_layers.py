"""The JSON of TensorRT's engine inspector, in both schemas, and the nodes that layers come from.

The texts are written from NVIDIA's documentation and from layers that people have published; none
is a record of an engine that latbench built, because it has not run on a GPU yet.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from latbench.errors import MeasurementError
from latbench.runtimes.naming import named
from latbench.runtimes.tensorrt_layers import Layer, compiled_graph, layers_of, precision_run

# The developer guide's example of a layer in detail, its nodes renamed, and what it leaves out.
OF_8 = """\
{"Layers": [{
  "Name": "Reformatting CopyNode for Input Tensor 0 to n0 + n1",
  "LayerType": "Reformat",
  "Inputs": [{
    "Name": "x",
    "Location": "Device",
    "Dimensions": [1,3,8,8],
    "Format/Datatype": "Row major linear FP32"
  }],
  "Outputs": [{
    "Name": "Reformatted Input Tensor 0 to n0 + n1",
    "Location": "Device",
    "Dimensions": [1,3,8,8],
    "Format/Datatype": "Channel major FP16 format where channel % 4 == 0"
  }],
  "ParameterType": "Reformat",
  "Origin": "REFORMAT"
},{
  "Name": "n0 + n1",
  "LayerType": "CaskConvolution",
  "Inputs": [{
    "Name": "Reformatted Input Tensor 0 to n0 + n1",
    "Dimensions": [1,3,8,8],
    "Format/Datatype": "Channel major FP16 format where channel % 4 == 0"
  }],
  "Outputs": [{
    "Name": "c",
    "Dimensions": [1,8,8,8],
    "Format/Datatype": "Thirty-two wide channel vectorized row major FP16 format"
  }],
  "ParameterType": "Convolution",
  "TacticName": "volta_fp16_a_kernel",
  "TacticValue": "0x0000000000000001"
},{
  "Name": "PWN(PWN(n2), n3)",
  "LayerType": "PointWiseV2",
  "Inputs": [{"Name": "c", "Dimensions": [1,8,8,8], "Format/Datatype": "Row major linear FP32"}],
  "Outputs": [{"Name": "y", "Dimensions": [1,8,8,8], "Format/Datatype": "Row major linear FP32"}]
}],
"Bindings": ["x","y"]
}
"""
# As 10 writes it: nodes in the metadata, apart by a control character that is not escaped.
OF_10 = (
    '{"Layers": [{"Name": "n0 + n1", "LayerType": "CaskConvolution", "Inputs": [{"Name": "x", '
    '"Format/Datatype": "Half"}], "Outputs": [{"Name": "c", "Format/Datatype": "Half"}], '
    '"StreamId": 0, "Metadata": "[ONNX Layer: n0]\x1f[ONNX Layer: n1]"}, '
    '{"Name": "__myl_AddSqrt_myl0_1", "LayerType": "kgen", "Inputs": [{"Name": "c", '
    '"Format/Datatype": "Float"}], "Outputs": [{"Name": "y", "Format/Datatype": "Float"}], '
    '"Metadata": "[ONNX Layer: n2]\x1e[ONNX Layer: n3]"}], "Bindings": ["x", "y"]}'
)
# As the migration guide of 11 describes it: types apart from formats, tensors as objects.
OF_11 = json.dumps(
    {
        "Layers": [
            {
                "Name": "n0 + n1",
                "LayerType": "CaskConvolution",
                "Inputs": [{"Name": "x", "Format": "Row major FP32 (kLINEAR)", "DataType": "Half"}],
                "Outputs": [{"Name": "c", "Format": "N/A", "DataType": "Half"}],
                "Metadata": "[ONNX Layer: n0]\x1f[ONNX Layer: n1]",
            },
            {
                "Name": "__myl_AddSqrt_myl0_1",
                "LayerType": "kgen",
                "Inputs": [{"Name": "c", "Format": "N/A", "DataType": "Float"}],
                "Outputs": [{"Name": "y", "Format": "N/A", "DataType": "Float"}],
                "Metadata": "[ONNX Layer: n2]\x1e[ONNX Layer: n3]",
            },
        ],
        "I/O Tensors": [
            {"Name": "x", "IOMode": "Input", "DataType": "Float", "Dimensions": [1, 3, 8, 8]}
        ],
    }
)


def test_the_schema_of_8_is_read() -> None:
    """Nodes come from names, reformats from none; precision from what a layer reads."""
    assert layers_of(OF_8) == [
        Layer("Reformatting CopyNode for Input Tensor 0 to n0 + n1", "Reformat", (), "fp32"),
        Layer("n0 + n1", "CaskConvolution", ("n0", "n1"), "fp16"),
        Layer("PWN(PWN(n2), n3)", "PointWiseV2", ("n2", "n3"), "fp32"),
    ]


@pytest.mark.parametrize("text", [OF_10, OF_11])
def test_the_schemas_of_10_and_11_say_the_same(text: str) -> None:
    """Metadata tells the nodes of layers whose names tell none."""
    assert layers_of(text) == [
        Layer("n0 + n1", "CaskConvolution", ("n0", "n1"), "fp16"),
        Layer("__myl_AddSqrt_myl0_1", "kgen", ("n2", "n3"), "fp32"),
    ]


def test_layers_without_details_are_names() -> None:
    """So are engines described that were built without."""
    text = json.dumps({"Layers": ["n0 + n1", "{ForeignNode[n2...n3]}"], "Bindings": []})
    assert layers_of(text) == [
        Layer("n0 + n1", "Layer", ("n0", "n1"), None),
        Layer("{ForeignNode[n2...n3]}", "Layer", ("n2", "n3"), None),
    ]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"Layers": [{"LayerType": "X"}]}', '{"Layers": 3}']
)
def test_what_is_no_known_schema_is_refused(text: str) -> None:
    """A change of the schema must not read as an engine without layers."""
    with pytest.raises(MeasurementError, match=r"it knows that of TensorRT 8\.5 to 11"):
        layers_of(text)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("BFloat16", "bf16"),
        ("Half", "fp16"),
        ("Float", "fp32"),
        ("Thirty-two wide channel vectorized row major Int8 format.", "int8"),
        ("Int32", None),
        ("FP8", None),
        ("N/A due to dynamic shapes", None),
    ],
)
def test_types_by_their_many_names(told: str, expected: str | None) -> None:
    """Each version writes them in its own way."""
    (layer,) = layers_of(json.dumps({"Layers": [_detailed("n0", told)]}))
    assert layer.precision == expected


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([("CaskConvolution", "fp16"), ("Reformat", "fp32"), ("MatrixMultiply", "fp16")], "fp16"),
        ([("CaskGemmConvolution", "fp16"), ("CaskConvolution", "fp32")], "amp"),
        ([("PointWiseV2", "fp16")], "fp16"),
        ([("Layer", None)], "asked"),
        ([], "asked"),
    ],
)
def test_precision_is_that_of_the_computing_layers(
    layers: list[tuple[str, str | None]], expected: str
) -> None:
    """The builder may keep layers in fp32: then it is not fp16 that ran, and the target knows."""
    made = [Layer("n", kind, (), precision) for kind, precision in layers]
    assert precision_run(made, "asked") == expected


def test_every_node_is_in_a_kernel_or_folded() -> None:
    """What no layer names goes to the layer that reads it; constants are folded."""
    model, shown = named(_model())
    layers = [
        Layer("Reformatting CopyNode for Input Tensor 0 to n1", "Reformat", (), "fp32"),
        Layer("{ForeignNode[n1...n3]}", "Myelin", ("n1", "n3"), "fp32"),
    ]
    times = {"{ForeignNode[n1...n3]}": 0.5}
    graph = compiled_graph(layers, times, 0.7, model, shown)
    reformat, foreign = graph.kernels
    assert reformat.inserted
    assert reformat.time_ms is None
    assert foreign.nodes == ("first, [of] it", "Relu:b", "last")
    assert foreign.name == "{ForeignNode[first, [of] it...last]}"
    assert foreign.time_ms == 0.5
    assert graph.folded == ("root",)
    assert graph.whole_ms == 0.7


def test_times_of_layers_with_one_name_are_not_told_apart() -> None:
    """The profiler knows layers by their names alone."""
    model, shown = named(_model())
    layers = [Layer("same", "A", ("n1",), None), Layer("same", "B", ("n2", "n3"), None)]
    graph = compiled_graph(layers, {"same": 1.0}, 1.0, model, shown)
    assert [kernel.time_ms for kernel in graph.kernels] == [None, None]


def test_a_time_of_no_layer_is_refused() -> None:
    """Names that differ would leave every kernel without a time, and nobody would know why."""
    model, shown = named(_model())
    layers = [Layer("n1 + n2 + n3", "A", ("n1", "n2", "n3"), None)]
    with pytest.raises(MeasurementError, match=r"times of 1 layers .* \('last \[profile 0\]'\)"):
        compiled_graph(layers, {"n3 [profile 0]": 1.0}, 1.0, model, shown)


def test_layers_of_a_node_that_became_several_are_all_its() -> None:
    """A suffix tells them apart; a longer number is another node."""
    text = json.dumps(
        {"Layers": ["n1_2 + n12", "(Unnamed Layer* 3) [Shuffle]", "xn1", "n1_clone_0"]}
    )
    assert [layer.origins for layer in layers_of(text)] == [("n1", "n12"), (), (), ("n1",)]


def _detailed(name: str, told: str) -> dict[str, Any]:
    return {"Name": name, "LayerType": "X", "Inputs": [{"Format/Datatype": told}], "Outputs": []}


def _model() -> ModelProto:
    make = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Sqrt", ["w"], ["r"], name="root"),
        helper.make_node("Mul", ["x", "r"], ["a"], name="first, [of] it"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Neg", ["b"], ["y"], name="last"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [make("x", TensorProto.FLOAT, [2])],
        [make("y", TensorProto.FLOAT, [2])],
        [numpy_helper.from_array(np.ones(2, np.float32), "w")],
    )
    return helper.make_model(graph)
