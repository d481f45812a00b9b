"""A target is a value: written, read and compared by every field that changes a latency."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latbench.errors import ArtefactError
from latbench.target import PRECISIONS, Target

CPU = Target("cpu", "onnxruntime", "1.31.1", options=(("execution", "sequential"),))
CHANGES: dict[str, object] = {
    "device": "v100",
    "runtime": "torch",
    "runtime_version": "1.31.2",
    "precision": "fp16",
    "batch": 2,
    "threads": 2,
    "options": (),
    "mode": "device",
}
NAMES = st.text(min_size=1, max_size=8)
TARGETS = st.builds(
    Target,
    device=NAMES,
    runtime=NAMES,
    runtime_version=NAMES,
    precision=st.sampled_from(PRECISIONS),
    batch=st.integers(1, 512),
    threads=st.integers(1, 64),
    options=st.dictionaries(NAMES, NAMES, max_size=3).map(lambda d: tuple(sorted(d.items()))),
    mode=st.sampled_from(["host", "device"]),
)


@given(target=TARGETS)
def test_survives_json(target: Target) -> None:
    """A target that was written as JSON is read as the same target."""
    assert Target.from_dict(json.loads(json.dumps(target.to_dict()))) == target


@given(one=TARGETS, other=TARGETS)
def test_key_is_the_identity(one: Target, other: Target) -> None:
    """Two targets share a key exactly when they are equal."""
    assert (one.key == other.key) == (one == other)
    assert one.key == dataclasses.replace(one).key


@pytest.mark.parametrize(("field", "value"), CHANGES.items())
def test_every_field_changes_the_key(field: str, value: Any) -> None:
    """Whatever changes how fast a target runs makes it another target."""
    changes: dict[str, Any] = {field: value}
    assert dataclasses.replace(CPU, **changes).key != CPU.key


def test_every_field_is_tried() -> None:
    """A field that is added to the target is added to the test above too."""
    assert set(CHANGES) == {field.name for field in dataclasses.fields(Target)}


def test_key_of_a_stored_target() -> None:
    """Keys are stored with measurements, so a known target keeps the key it was stored with."""
    assert CPU.key == "t1:6862e8d4d34fcc54e779423d"


@pytest.mark.parametrize("change", [{"clock": "host"}, {"mode": None}])
def test_other_fields_are_refused(change: dict[str, str | None]) -> None:
    """A document with a field too many or too few was written by another version."""
    document = {**CPU.to_dict(), **change}
    document = {name: value for name, value in document.items() if value is not None}
    with pytest.raises(ArtefactError, match="written by another version of latbench"):
        Target.from_dict(document)


def test_label_is_one_line_for_people() -> None:
    """The label says all that distinguishes the target."""
    assert CPU.label == "cpu, onnxruntime 1.31.1 fp32, batch 1, 1 thread, execution=sequential"
    two = dataclasses.replace(CPU, threads=2, options=())
    assert two.label == "cpu, onnxruntime 1.31.1 fp32, batch 1, 2 threads"
