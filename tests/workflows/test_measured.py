"""Of a store one instance and one protocol are read; the rest is counted, and not mixed in."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import latbench
from latbench.store import InstanceRow, JobRow, MeasurementRow, Store, SubjectRow, WorkloadRow
from latbench.target import Target
from latbench.timing import Protocol
from latbench.workflows.compare import compare, complete
from latbench.workflows.measured import REPEAT, measured, other_targets
from latbench.workflows.setting import Setting

SPACE = latbench.space("digits-mobilenet")
TARGET = Target("cpu", "onnxruntime", "1.0")
NETWORKS = [SPACE.decode(x) for x in SPACE.sample(np.random.default_rng(0), 12)]
BLOCKS = [block.key for block in SPACE.blocks]
STANDARD, QUICK = Protocol.standard().name, Protocol.quick().name
Add = Callable[..., None]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    with Store.open(f"sqlite:///{tmp_path / 'latbench.db'}") as opened:
        yield opened


@pytest.fixture
def add(store: Store) -> Add:
    """A function that adds measurements of ``keys``, each later than all before."""
    clock = itertools.count(1_000_000)

    def add(
        keys: list[str],
        latency_ms: float = 1.0,
        *,
        instance: str = "i1:here",
        protocol: str = STANDARD,
        campaign: str = "main",
        target: Target = TARGET,
    ) -> None:
        store.add_instance(InstanceRow(instance, "cpu"))
        store.add_target(target)
        for key in keys:
            workload = f"g1:{key}"
            store.add_workload(WorkloadRow(workload, key, [], 1))
            row = SubjectRow(SPACE.id, "network" if key in NETWORKS else "block", key, workload)
            store.add_subjects([row])
            job = store.add_job(JobRow(target.key, instance, workload, protocol, campaign))
            interval = (0.9 * latency_ms, 1.1 * latency_ms, 0.1)
            store.add_measurement(
                MeasurementRow(job, "ok", None, latency_ms, *interval, created=next(clock))
            )

    return add


def test_repeats_of_another_instance_are_no_noise(store: Store, add: Add) -> None:
    """A second machine is another one, and not a second measurement of the first."""
    add(NETWORKS, 2.0, instance="i1:other", campaign=REPEAT)
    add(NETWORKS, 2.0, instance="i1:other")
    add(NETWORKS, 1.0)
    assert measured(store, SPACE, TARGET).noise_mape is None
    add(NETWORKS[:6], 1.0, campaign=REPEAT)
    found = measured(store, SPACE, TARGET)
    assert found.noise_mape == pytest.approx(0.0)
    assert found.y.tolist() == [1.0] * len(NETWORKS)
    assert not found.set_aside  # nor is another machine another protocol


def test_the_protocol_of_the_most_networks_is_kept(store: Store, add: Add) -> None:
    """What the other one timed enters neither fits nor noise, and is counted."""
    add([*NETWORKS, *BLOCKS], 1.0)
    add(NETWORKS[:6], 1.0, campaign=REPEAT)
    add([*NETWORKS[:10], *BLOCKS[:3]], 1.5, protocol=QUICK)
    add(NETWORKS, 1.5, protocol=QUICK, campaign=REPEAT)
    found = measured(store, SPACE, TARGET)
    assert found.protocol == STANDARD
    assert set(found.y) == set(found.block_ms.values()) == {1.0}
    assert found.noise_mape == pytest.approx(0.0)
    assert found.set_aside == {QUICK: 10 + 3 + len(NETWORKS)}
    (told,) = found.notes()
    assert told.startswith("25 rows are set aside, because another protocol timed them")
    assert f"(25 by {QUICK})" in told
    assert f"what {STANDARD} timed" in told


def test_of_equally_many_the_last_one_used_is_kept(store: Store, add: Add) -> None:
    """Whoever measures everything again by another protocol means the new measurements."""
    add(NETWORKS, 1.0, protocol="p4:0badf00d")
    add(NETWORKS, 1.5)
    assert set(measured(store, SPACE, TARGET).y) == {1.5}


def test_without_networks_blocks_decide(store: Store, add: Add) -> None:
    """A table of blocks alone is read as well."""
    add(BLOCKS, 1.0)
    add(BLOCKS[:2], 1.5, protocol=QUICK)
    assert set(measured(store, SPACE, TARGET).block_ms.values()) == {1.0}


def test_an_empty_store_has_no_protocol(store: Store) -> None:
    """Nothing measured is nothing set aside."""
    found = measured(store, SPACE, TARGET)
    assert (found.protocol, len(found.y), found.notes()) == (None, 0, [])


def test_sources_are_not_mixed_either(store: Store, add: Add) -> None:
    """What is learned from other targets is of one protocol each, and says so."""
    other = Target("cpu", "openvino", "2.0")
    add(NETWORKS, 1.0, target=other)
    add(NETWORKS[:4], 1.5, target=other, protocol=QUICK)
    (found,) = other_targets(store, SPACE, TARGET).values()
    assert set(found.y) == {1.0}
    assert len(found.notes()) == 1


def test_a_comparison_is_completed_by_the_protocol_that_is_kept(
    store: Store, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks that another protocol timed would be set aside, and stay missing."""
    target, instance = Setting().here()
    add(NETWORKS, 1.0, target=target, protocol=QUICK, instance=instance.id)

    def profile(*_: object, protocol: Protocol | None, **others: object) -> None:
        assert protocol is not None
        add(BLOCKS, 0.1, target=target, protocol=protocol.name, instance=instance.id)

    monkeypatch.setattr("latbench.workflows.compare.profile", profile)
    assert complete(store, SPACE, Setting(), len(NETWORKS), seed=0) == target
    assert len(compare(measured(store, SPACE, target)).rows()) == len(NETWORKS)


def test_what_failed_is_counted(store: Store, add: Add) -> None:
    """By the protocol that is kept; a network that another attempt measured did not fail."""
    add([*NETWORKS[:10], *BLOCKS[:5]])
    for key in (NETWORKS[10], NETWORKS[11], BLOCKS[5]):
        fail(store, key)
    fail(store, BLOCKS[6], QUICK)
    add(NETWORKS[10:11])
    found = measured(store, SPACE, TARGET)
    assert len(found.y) == 11
    assert found.failed == {"networks": 1, "blocks": 1}
    blocks, networks = found.notes()
    assert blocks.startswith("1 of 6 blocks have no latency, because measuring them failed")
    assert networks.startswith("1 of 12 networks have no latency")


def fail(store: Store, key: str, protocol: str = STANDARD) -> None:
    """Add a failed measurement of ``key``, as a sweep does."""
    workload = f"g1:{key}"
    store.add_workload(WorkloadRow(workload, key, [], 1))
    row = SubjectRow(SPACE.id, "network" if key in NETWORKS else "block", key, workload)
    store.add_subjects([row])
    job = store.add_job(JobRow(TARGET.key, "i1:here", workload, protocol, "main"))
    store.add_measurement(MeasurementRow(job, "failed", "the runtime refused it"))
