"""What is measured, and how it is told apart afterwards; where and how it was measured."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import numpy as np
import pytest

import latbench
from latbench.profiling.provenance import provenance
from latbench.profiling.subjects import (
    block_subjects,
    model_subject,
    network_subjects,
    sentinel,
)
from latbench.store.leaks import leaks
from latbench.target import Target

SPACE = latbench.space("digits-mobilenet", image_size=8)


def test_every_block_of_a_space_is_a_subject() -> None:
    """One subject a block, under its key, in the order of the space."""
    subjects = block_subjects(SPACE, batch=2)
    assert [subject.key for subject in subjects] == [block.key for block in SPACE.blocks]
    for subject, block in zip(subjects, SPACE.blocks, strict=True):
        row = subject.row()
        assert row is not None
        assert (row.kind, row.space, row.batch, row.arch_hash) == ("block", SPACE.id, 2, None)
        assert subject.workload.macs == 2 * block.macs
        assert subject.workload.inputs[0].shape == (2, *block.input_shapes[0])


def test_networks_are_known_by_their_architecture() -> None:
    """Short text and hash lead back to the architecture."""
    X = SPACE.sample(np.random.default_rng(0), 3)
    for subject, x in zip(network_subjects(SPACE, X), X, strict=True):
        row = subject.row()
        assert row is not None
        assert (row.kind, row.arch_hash) == ("network", SPACE.hash(x))
        np.testing.assert_array_equal(SPACE.encode(row.key), x)


def test_a_file_belongs_to_no_space(tmp_path: Path) -> None:
    """A user's model is measured, and no subject row speaks of its name or path."""
    path = tmp_path / "mine.onnx"
    path.write_bytes(SPACE.to_onnx([0] * 8).SerializeToString())
    subject = model_subject(path)
    assert (subject.kind, subject.key, subject.row()) == ("model", "mine.onnx", None)


def test_the_sentinel_is_one_block_at_batch_one() -> None:
    """The sentinel is the same in every process: about a million times ten operations."""
    workload = sentinel()
    assert workload is sentinel()
    assert workload.recipe["batch"] == 1
    assert workload.macs == pytest.approx(26.0e6, rel=0.1)


def test_provenance_tells_versions_and_no_names() -> None:
    """It is JSON with target, versions and load, and holds neither a host name nor a path."""
    target = Target("cpu", "onnxruntime", "1.31.0", options=(("optimisation", "all"),))
    told = provenance(target)
    assert json.loads(json.dumps(told)) == told
    assert told["target"] == target.to_dict()
    assert told["latbench"] == latbench.__version__
    assert {"numpy", "onnx"} <= set(told["packages"])
    assert list(leaks(told, socket.gethostname(), "provenance")) == []
