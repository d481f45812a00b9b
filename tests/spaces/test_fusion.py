"""What a compiler fuses: by hand, by a walk over the steps, and by a compiler."""

from __future__ import annotations

import platform
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import latbench
from latbench.runtimes.openvino import OpenVino
from latbench.spaces import Block, SearchSpace
from latbench.spaces.fusion import KERNELS
from latbench.spaces.graph import INPUT

# A sum of a pooling and its input behind a ReLU; and the same sum within another one.
RECTIFIED_SUM = "|avg_pool_3x3~0|+|skip_connect~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|"
SHARED_SUM = RECTIFIED_SUM.replace("|none~0|none~1|nor", "|skip_connect~0|skip_connect~1|nor")
IN_A_ROW = "|skip_connect~0|+|skip_connect~0|avg_pool_3x3~1|+|none~0|skip_connect~1|skip_connect~2|"
SKIP = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"


@pytest.fixture(scope="module")
def cells() -> SearchSpace:
    """Three cells, one a stage."""
    return latbench.space("nasbench201", cells=1, image_size=8)


def kernels(space: SearchSpace, X: np.ndarray) -> np.ndarray:
    """Return the columns of kernels of ``X``, (n, kernels)."""
    return space.features(space.check(X))[:, space.features.kernels]


BY_HAND = {
    # An input that is added, too, has its ReLU beside it; and is written over when that was read.
    "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|": (0, 0, 0, 0, 0, 1, 1),
    "|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|skip_connect~1|none~2|": (
        *(0, 1, 1, 1, 0, 1, 0),
    ),
    "|nor_conv_1x1~0|+|none~0|none~1|+|avg_pool_3x3~0|skip_connect~1|none~2|": (
        *(1, 1, 1, 1, 0, 1, 0),
    ),
    # A pooling may read it later, so that it is not written over.
    "|nor_conv_1x1~0|+|avg_pool_3x3~0|none~1|+|skip_connect~0|skip_connect~1|skip_connect~2|": (
        *(1, 2, 1, 0, 0, 1, 0),
    ),
    # Two convolutions of one value see it through one ReLU, and either writes over the other.
    "|none~0|+|nor_conv_1x1~0|none~1|+|nor_conv_3x3~0|none~1|skip_connect~2|": (
        *(0, 1, 1, 1, 0, 1, 1),
    ),
    # Additions are done in order: the pooling that comes last is added by itself.
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|none~1|+|nor_conv_3x3~0|skip_connect~1|skip_connect~2|": (
        *(1, 2, 2, 2, 0, 1, 0),
    ),
    "|nor_conv_1x1~0|+|avg_pool_3x3~0|none~1|+|nor_conv_3x3~0|skip_connect~1|skip_connect~2|": (
        *(1, 2, 1, 1, 0, 1, 0),
    ),
    # Two poolings of one value are one, and a value that is added to itself has two readers.
    "|avg_pool_3x3~0|+|avg_pool_3x3~0|none~1|+|none~0|skip_connect~1|skip_connect~2|": (
        *(1, 1, 0, 0, 0, 0, 0),
    ),
    # One addition reads what the other wrote, and nobody else does.
    IN_A_ROW: (1, 2, 0, 0, 1, 0, 0),
}
"""Of one cell: poolings, additions, fused, in place, in a row, values behind a ReLU, fused."""


@pytest.mark.parametrize("cell", BY_HAND)
def test_by_hand(cells: SearchSpace, cell: str) -> None:
    """Three cells have three times what one has; nothing rectifies the last, or fuses the first."""
    (found,) = kernels(cells, cells.encode(cell)[None])
    assert found[2:].tolist() == [3 * count for count in BY_HAND[cell]]


def walked(space: SearchSpace, x: np.ndarray) -> list[float]:
    """Return the kernels of ``x`` by a walk over the steps that run."""
    values: dict[str | None, object] = {INPUT: INPUT}
    made: dict[object, tuple[str, bool, list[object], int]] = {}
    for step in space.graph.plan(x):
        operation, block = step.operation, Block(step.operation, step.input_shapes)
        taken = [values[name] for name in step.inputs if name is not None]
        if operation.joins:
            total = taken[0]
            for number, value in enumerate(taken[1:], start=2):
                both = taken if number == len(taken) else [total, value]
                result = (operation.key, frozenset(Counter(both).items()))
                made.setdefault(result, ("addition", False, [total, value], 0))
                total = result
            values[step.name] = total
        elif operation.params() > 0:
            values[step.name] = step.name
            made[step.name] = ("weighted", operation.rectifies, taken, block.macs)
        else:
            values[step.name] = (operation.key, tuple(taken))
            made.setdefault(values[step.name], ("unweighted", False, taken, 0))
    readers = Counter(value for _, _, read, _ in made.values() for value in read)
    before: dict[object, set[object]] = {}
    for value, (_, _, read, _) in made.items():
        before[value] = {one for source in read if source in made for one in before[source]}
        before[value] |= {source for source in read if source in made}

    def is_over(value: object, addition: object) -> bool:
        """Return whether all else that reads ``value`` is done when ``addition`` writes over it."""
        others = [one for one, (*_, read, _) in made.items() if value in read and one != addition]
        relu = [one for one in others if made[one][1]]
        return all(one in before[addition] for one in others if one not in relu) and (
            not relu or any(one in before[addition] for one in relu)
        )

    through = Counter(value for _, relu, read, _ in made.values() for value in read if relu)
    kinds = {value: kind for value, (kind, *_) in made.items()}
    sums = {value: read for value, (kind, _, read, _) in made.items() if kind == "addition"}
    adding = {
        value: [one for one in read if readers[one] == 1 and kinds.get(one) == "weighted"]
        for value, read in sums.items()
    }
    fused = [value for value in sums if adding[value]]
    in_place = [
        value
        for value in fused
        if any(
            one in made and (len(adding[value]) == 2 or one not in adding[value])
            for one in sums[value]
            if is_over(one, value)
        )
    ]
    by_itself = set(sums) - set(fused)
    in_a_row = [
        value
        for value in by_itself
        if readers[value] == 1 and any(value in sums[one] for one in by_itself)
    ]
    relus = [value for value in through if value in made]
    return [
        sum(kind == "weighted" for kind in kinds.values()),
        sum(macs for *_, macs in made.values()),
        sum(kind == "unweighted" for kind in kinds.values()),
        len(sums),
        len(fused),
        len(in_place),
        len(in_a_row),
        len(relus),
        sum(through[one] == readers[one] and kinds[one] != "unweighted" for one in relus),
    ]


@pytest.mark.parametrize("name", ["nasbench201", "darts"])
def test_columns_are_those_of_a_walk(name: str) -> None:
    """All architectures at once have what each has by itself."""
    space = latbench.space(name)
    X = space.sample(np.random.default_rng(0), 25)
    if name == "nasbench201":
        X = np.vstack([space.encode(IN_A_ROW), X])
    expected = [walked(space, x) for x in X]
    np.testing.assert_array_equal(kernels(space, X), expected)
    varying = np.ptp(expected, axis=0) > 0
    assert [kernel for kernel, varies in zip(KERNELS, varying, strict=True) if not varies] == (
        # There every node joins two, and the cell's output reads what comes of it.
        ["additions", "additions in a row"] if name == "darts" else []
    )


def test_a_chain_has_none() -> None:
    """Nothing is joined there, so the blocks are all there is to tell."""
    space = latbench.space("mobilenet")
    assert not space.features.names[space.features.kernels]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="where layouts have blocks of channels")
def test_onnx_runtime_is_left_with_as_many(cells: SearchSpace, tmp_path: Path) -> None:
    """Poolings, additions, those that convolutions do, and ReLUs, less those of a bare cell.

    Where an addition by itself is rectified, it has a ReLU more: it fuses none into those.
    """
    rng = np.random.default_rng(5)
    X = np.vstack([*map(cells.encode, (SKIP, RECTIFIED_SUM, SHARED_SUM)), cells.sample(rng, 10)])
    X = X[cells.graph.live(X)[1][cells.graph.output]]
    compiled = np.array([_compiled(cells, x, tmp_path / "network.onnx") for x in X])
    told = dict(zip(KERNELS, kernels(cells, X).T, strict=True))
    expected = np.stack(
        [
            told["unweighted"],
            told["additions"] - told["additions fused"],
            told["additions fused"],
            told["rectified"] - told["rectified fused"],
        ],
        axis=1,
    )
    expected[1, 3] += 3
    np.testing.assert_array_equal(compiled - compiled[0], expected - expected[0])
    assert (np.ptp(expected, axis=0) > 0).all()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="where additions become one kernel")
def test_openvino_is_left_with_as_many(cells: SearchSpace) -> None:
    """Additions that convolutions do, and kernels of others, less those of a bare cell."""
    sampled = cells.sample(np.random.default_rng(5), 10)
    X = np.vstack([cells.encode(SKIP), *map(cells.encode, BY_HAND), sampled])
    X = X[cells.graph.live(X)[1][cells.graph.output]]
    runtime = OpenVino()
    compiled = []
    for x in X:
        session = runtime.compile(cells.network_workload(x), runtime.target("cpu"))
        adding = [
            (kernel.kind, sum(node.rpartition("/")[2].startswith("Add") for node in kernel.nodes))
            for kernel in session.kernels(runs=1).kernels
        ]
        convolutions = sum(adds for kind, adds in adding if kind == "Convolution")
        compiled.append([convolutions, sum(adds > 0 for _, adds in adding) - convolutions])
    told = dict(zip(KERNELS, kernels(cells, X).T, strict=True))
    in_place = told["additions in place"]
    rest = told["additions"] - in_place - told["additions in a row"]
    expected = np.stack([in_place, rest], axis=1)
    found = np.array(compiled)
    np.testing.assert_array_equal(found - found[0], expected - expected[0])
    assert (np.ptp(expected, axis=0) > 0).all()


def _compiled(space: SearchSpace, x: np.ndarray, path: Path) -> list[int]:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3  # it warns that the file suits this processor alone
    model = space.to_onnx(x).SerializeToString()
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(path).graph.node
    kinds = Counter(node.op_type for node in nodes)
    # The fourth input of a convolution is what it adds itself to.
    adding = [node for node in nodes if node.op_type == "Conv" and len(node.input) == 4]
    return [kinds["AveragePool"], kinds["Add"] + kinds["Sum"], len(adding), kinds["Relu"]]
