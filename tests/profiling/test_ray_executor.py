"""What is tried again and what is a result, on a cluster that is only played."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from latbench.errors import UnavailableError
from latbench.profiling import cluster as clusters
from latbench.profiling.channel import Message
from latbench.profiling.cluster import Cluster, ClusterFault, address_of, connected
from latbench.profiling.process import Task
from latbench.profiling.ray_executor import RayExecutor
from latbench.profiling.subjects import Subject
from latbench.target import Target
from latbench.timing import Protocol

TARGET = Target("cpu", "odd", "1.0")


class Play:
    """Stands for a station: each call on it is a remote one, and answers at once."""

    def __init__(self, stage: Stage, script: list[Any]) -> None:
        self.stage = stage
        self.script = script

    def __getattr__(self, call: str) -> Any:
        return type("Call", (), {"remote": lambda _, *given: (self, call, given)})()


class Stage(Cluster):
    """A cluster of nodes ``a``, ``b``, … each of which plays one script of messages.

    Attributes:
        groups: the subjects of each task.
        budgets: the budget of each.
        put_names: what was sent, in order.
    """

    def __init__(self, *scripts: list[Any], instances: dict[str, str] | None = None) -> None:
        self.address = "ray://played"
        self.scripts = list(scripts)
        self.instances = instances or {"a": "i1:one"}
        self.groups: list[list[str]] = []
        self.nodes: list[str] = []

    def nodes_with(self, device: str) -> list[str]:
        return list(self.instances)

    def ask(self, node: str, function: Callable[[], Any]) -> Any:
        return self.instances[node], "1.0"

    @contextlib.contextmanager
    def actor(self, node: str, device: str, cls: type) -> Iterator[Any]:
        self.nodes.append(node)
        yield Play(self, self.scripts.pop(0))

    def put(self, value: object) -> Any:
        return value

    def get(self, reference: Any, timeout_s: float) -> Any:
        play, call, given = reference
        if call == "missing":
            return given[0]
        if call == "start":
            self.groups.append([subject["job"] for subject in given[0]["subjects"]])
        if call != "messages":
            return None
        step = play.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return [step]


def done(job: str) -> Message:
    return {"type": "done", "job": job, "outcome": "converged"}


ENDED = {"type": "ended", "death": None}
LOST = ClusterFault("its node has died")


@pytest.fixture
def task(fast: Protocol, named: Callable[..., Subject]) -> Task:
    """A task of two jobs, ``x`` and ``y``."""
    workloads = {job: named(job).workload for job in "xy"}
    before: dict[str, Any] = {job: {} for job in workloads}
    return Task(TARGET, "i1:one", fast, workloads, before, named("sentinel").workload, 10.0)


def test_a_lost_node_is_tried_again_for_what_it_left(task: Task) -> None:
    """What was done before is not measured twice; the new process has another name."""
    stage = Stage([done("x"), LOST], [done("y"), ENDED])
    said: list[str] = []
    told: list[tuple[str, str]] = []
    executor = RayExecutor(stage, say=said.append)
    assert executor.run(task, lambda process, one: told.append((process, one["job"]))) is None
    assert stage.groups == [["x", "y"], ["y"]]
    assert [job for _, job in told] == ["x", "y"]
    assert told[0][0] != told[1][0]
    assert said == ["latbench:cpu failed (its node has died); trying again"]


def test_a_node_that_is_lost_after_all_was_done_is_not_needed(task: Task) -> None:
    """Nothing is left to try again."""
    stage = Stage([done("x"), done("y"), LOST])
    assert RayExecutor(stage, say=print).run(task, lambda *_: None) is None
    assert len(stage.groups) == 1


def test_a_cluster_is_given_up_after_two_more_trials(task: Task) -> None:
    """The error names what failed, why, and that the next run goes on."""
    stage = Stage([LOST], [{"type": "broken", "reason": "disk full"}], [done("x"), LOST], [ENDED])
    said: list[str] = []
    with pytest.raises(UnavailableError) as caught:
        RayExecutor(stage, say=said.append).run(task, lambda *_: None)
    assert len(stage.groups) == 3
    assert len(said) == 2
    assert "latbench:cpu failed 3 times" in str(caught.value)
    assert "its node has died; see to the node" in str(caught.value)
    assert "goes on where it was" in str(caught.value)


def test_what_a_worker_does_is_never_tried_again(task: Task) -> None:
    """A crash is handed on as a result."""
    stage = Stage([{"type": "ended", "death": "its process was killed by SIGSEGV"}], [ENDED])
    death = RayExecutor(stage, say=print).run(task, lambda *_: None)
    assert death == "its process was killed by SIGSEGV"
    assert len(stage.groups) == 1


def test_a_runtime_that_does_not_work_there_is_not_tried_again(task: Task) -> None:
    """The same node would say the same once more."""
    reason = "the runtime odd does not work here: no engine"
    stage = Stage([done("x"), {"type": "unavailable", "reason": reason}], [ENDED])
    with pytest.raises(UnavailableError, match=f"the node of the device says: {reason}"):
        RayExecutor(stage, say=print).run(task, lambda *_: None)
    assert len(stage.groups) == 1


def test_another_instance_of_the_device_is_not_taken(task: Task) -> None:
    """A sweep stays on the instance that it began on, wherever in the list that is."""
    stage = Stage([ENDED], instances={"a": "i1:another", "b": "i1:one"})
    RayExecutor(stage, say=print).run(task, lambda *_: None)
    assert stage.nodes == ["b"]
    alone = Stage([ENDED], instances={"a": "i1:another"})
    with pytest.raises(UnavailableError, match=r"i1:one.* 2 subjects of this group are not"):
        RayExecutor(alone, say=print, rejoin_s=0.0).run(task, lambda *_: None)
    assert alone.nodes == []


def test_waiting_is_said(task: Task) -> None:
    """What a station waits for is handed on."""
    said: list[str] = []
    stage = Stage([{"type": "waiting", "text": "waiting for the device"}, ENDED])
    RayExecutor(stage, say=said.append).run(task, lambda *_: None)
    assert said == ["waiting for the device"]


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("ray://head:1", "no node of ray://head:1 offers latbench:v100; start one"),
        ("ray", "no v100 on this machine, where --executor ray starts Ray; start a node"),
    ],
)
def test_a_device_that_is_not_offered(address: str, says: str) -> None:
    """The error says how to offer it, in a command that can be typed."""
    text = Cluster(None, address).absence("v100")
    assert text.startswith(says)
    start = """`ray start --address=HEAD:6379 --num-gpus=1 --resources='{"latbench:v100": 1}'`"""
    assert start in text
    assert "--num-gpus" not in Cluster(None, address).absence("jetson-orin")


def test_a_card_is_one_of_rays_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node offers it with a GPU, an actor takes that GPU, and Ray started here has as many."""
    asked: list[dict[str, Any]] = []

    class Ray(SimpleNamespace):
        """Notes what it is asked for."""

        def nodes(self) -> list[dict[str, Any]]:
            with_gpu = {"latbench:v100": 1.0, "GPU": 1.0}
            offered = {
                "a": with_gpu,
                "b": {"latbench:v100": 1.0},
                "c": {"latbench:cpu": 1.0, "GPU": 2.0},
                "d": {"latbench:v100": 1.0, "GPU": 2.0},
            }
            return [
                {"NodeID": name, "Alive": True, "Resources": resources}
                for name, resources in offered.items()
            ]

        def remote(self, cls: type) -> Any:
            def options(**wanted: Any) -> Any:
                asked.append(wanted)
                return SimpleNamespace(remote=cls)

            return SimpleNamespace(options=options)

        def kill(self, handle: object) -> None:
            pass

        def init(self, **wanted: Any) -> None:
            asked.append(wanted)

    played = Cluster(Ray(), "ray://head:1")
    assert (played.nodes_with("v100"), played.nodes_with("cpu")) == (["a"], ["c"])
    monkeypatch.setattr(Cluster, "_on", lambda cluster, node: node)
    monkeypatch.setattr(Cluster, "_faults", lambda cluster: contextlib.nullcontext())
    for device in ("v100", "cpu"):
        with played.actor("a", device, object):
            pass
    monkeypatch.setattr("latbench.devices.present", lambda profile: [profile])
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    for wanted in (["cpu", "v100"], ["v100", "h100"], ["cpu"]):
        clusters._start(Ray(), wanted, {})
    assert [one["num_gpus"] for one in asked] == [1, 0, 1, 1, None]


@pytest.mark.parametrize("gpus", [0, 2])
def test_a_card_that_others_could_share_is_refused(
    monkeypatch: pytest.MonkeyPatch, gpus: int
) -> None:
    """Ray may put somebody else's work on any of a node's GPUs, so it must know of one alone."""
    resources = {"latbench:v100": 1.0, "latbench:cpu": 1.0, **({"GPU": gpus} if gpus else {})}
    node = {"NodeID": "a", "Alive": True, "Resources": resources}
    played = Cluster(SimpleNamespace(nodes=lambda: [node]), "ray://head:1")
    monkeypatch.setattr(Cluster, "_faults", lambda cluster: contextlib.nullcontext())
    assert (played.nodes_with("v100"), played.nodes_with("cpu")) == ([], ["a"])
    with pytest.raises(UnavailableError) as refused:
        played.ask_all("v100", lambda: None)
    assert f"has {gpus} of Ray's GPUs and must have 1" in str(refused.value)
    assert """--num-gpus=1 --resources='{"latbench:v100": 1}'`""" in str(refused.value)


@pytest.mark.parametrize(
    ("place", "address"),
    [("ray://head", ("head", 10001)), ("ray://10.0.0.1:20002", ("10.0.0.1", 20002))],
)
def test_addresses_are_read(place: str, address: tuple[str, int]) -> None:
    """The port may be left out."""
    assert address_of(place) == address


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line names the extra."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(UnavailableError, match=r"pip install 'latbench\[cluster\]'"),
        connected("ray", ["cpu"]),
    ):
        pass
