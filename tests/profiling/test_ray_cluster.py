"""Sweeps on a real Ray cluster of several nodes, all on this machine."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import latbench
from latbench import devices
from latbench.errors import UnavailableError
from latbench.profiling import sweep as sweeps
from latbench.profiling.cluster import Cluster, connected
from latbench.profiling.ray_executor import RayExecutor
from latbench.profiling.station import Station
from latbench.profiling.subjects import Subject, sentinel
from latbench.profiling.sweep import Instance, Sweep, SweepResult
from latbench.store import Store
from latbench.target import Target
from latbench.timing import Protocol
from latbench.workflows.setting import Setting

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'latbench[cluster]'")
cluster_utils = pytest.importorskip("ray.cluster_utils")

Named = Callable[..., Subject]

ROOT = Path(latbench.__file__).parents[1]
PATIENCE_S = 180.0
STORE_BYTES = 80 * 2**20


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


class Farm:
    """A head without devices; nodes that offer this machine's processor, and a card, come and go.

    The card is only said to be there.
    """

    def __init__(self) -> None:
        port = free_port()
        self.address = f"ray://127.0.0.1:{port}"
        self._cluster = cluster_utils.Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 1,
                "object_store_memory": STORE_BYTES,
                "ray_client_server_port": port,
                "include_dashboard": False,
            },
        )
        self._node: Any = None

    def join(self) -> None:
        self._node = self._cluster.add_node(
            num_cpus=1,
            object_store_memory=STORE_BYTES,
            num_gpus=1,
            resources={"latbench:cpu": 1, "latbench:v100": 1},
            env_vars={"ODD_NODE": "with the device"},
        )

    def kill(self) -> None:
        node, self._node = self._node, None
        self._cluster.remove_node(node, allow_graceful=False)

    def shutdown(self) -> None:
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def farm(odd_distribution: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm with one node; what it starts finds this latbench, and the odd runtime."""
    with pytest.MonkeyPatch.context() as patch:
        path = [ROOT, ROOT / "predictors", ROOT / "search_plugins", odd_distribution]
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, path)))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("CUDA_VISIBLE_DEVICES", "3")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        found = Farm()
        found.join()
        yield found
        found.shutdown()


@pytest.fixture(scope="module")
def cluster(farm: Farm) -> Iterator[Cluster]:
    """A connection to the farm."""
    sentinel()  # it is built once, and PyTorch cannot do that in two threads at once
    with connected(farm.address, ["cpu"]) as found:
        yield found


@pytest.fixture
def here() -> Instance:
    """This machine's processor, which the farm's node offers."""
    return Instance(devices.require("cpu").instance, "cpu")


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three subjects a group, so that a sweep has several."""
    monkeypatch.setattr(sweeps, "GROUP_SIZE", 3)


class Running(threading.Thread):
    """A sweep in a thread of its own."""

    def __init__(self, sweep: Sweep, subjects: list[Subject]) -> None:
        super().__init__(daemon=True)
        self.sweep = sweep
        self.subjects = subjects
        self.result: SweepResult | None = None
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.result = self.sweep.run(self.subjects)
        except Exception as error:  # noqa: BLE001
            self.error = error

    def finished(self) -> SweepResult:
        self.join(PATIENCE_S)
        assert self.error is None
        assert self.result is not None
        return self.result


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {PATIENCE_S:g} s"
        time.sleep(0.02)


def test_a_sweep_runs_on_the_node_that_has_the_device(
    cluster: Cluster,
    store: Store,
    odd: Target,
    here: Instance,
    fast: Protocol,
    named: Named,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Workers there are as here, a crash is a result, and no model is sent twice."""
    target = replace(odd, threads=2)
    puts: list[object] = []
    put = cluster.put

    def counted(value: object) -> Any:
        puts.append(value)
        return put(value)

    monkeypatch.setattr(cluster, "put", counted)
    names = ["good", "environment at compile", "segfault at run"]
    result = Sweep(store, target, here, fast, executor=RayExecutor(cluster)).run(
        [named(name) for name in names]
    )
    by_name = dict(zip(names, result.jobs, strict=True))
    assert result.failed == {
        # Ray's own variables and limits stay outside; what the machine's owner set is kept.
        by_name["environment at compile"]: "RuntimeError: ('with the device', '3', '2', None)",
        by_name["segfault at run"]: "its process was killed by SIGSEGV",
    }
    assert result.measured == [by_name["good"]]
    assert len(store.processes(by_name["good"])) >= fast.processes
    assert len(puts) == 2  # the sentinel, and the odd subjects' empty model


def test_what_is_there_is_told_by_the_node(cluster: Cluster) -> None:
    """Instance and runtime version come from where it is timed."""
    (answer,) = cluster.ask_all("cpu", Setting(runtime="onnxruntime").here)
    assert answer == Setting(runtime="onnxruntime").here()


def test_a_device_that_nobody_offers(cluster: Cluster) -> None:
    """The error says how to start a node that does."""
    with pytest.raises(UnavailableError) as caught:
        cluster.ask_all("h100", Setting(device="h100").here)
    text = str(caught.value)
    assert "no node of ray://127.0.0.1" in text
    start = """ray start --address=HEAD:6379 --num-gpus=1 --resources='{"latbench:h100": 1}'"""
    assert start in text


def test_a_card_takes_the_gpu_of_its_node(cluster: Cluster) -> None:
    """Ray counts it, and what runs there sees the card that the machine's owner shows."""
    (node,) = cluster.nodes_with("v100")
    assert cluster.nodes_with("cpu") == [node]
    with cluster.actor(node, "v100", Station) as station:
        assert cluster.get(station.missing.remote(["m"]), PATIENCE_S) == ["m"]
        wait_until(lambda: ray.available_resources().get("GPU", 0.0) == 0.0, "GPU in use")
        assert cluster.ask(node, partial(os.getenv, "CUDA_VISIBLE_DEVICES")) == "3"
    wait_until(lambda: ray.available_resources().get("GPU") == 1.0, "GPU given back")


def test_two_sweeps_at_once_never_overlap(
    cluster: Cluster,
    store: Store,
    odd: Target,
    here: Instance,
    fast: Protocol,
    named: Named,
    small_groups: None,
) -> None:
    """Their worker processes take turns on the device."""
    once = replace(fast, processes=1)
    running = [
        Running(
            Sweep(store, odd, here, once, campaign, RayExecutor(cluster, say=lambda _: None)),
            [named(f"job {number}") for number in range(6)],
        )
        for campaign in ("main", "other")
    ]
    for one in running:
        one.start()
    spans: dict[tuple[int, str], tuple[float, float]] = {}
    for place, one in enumerate(running):
        result = one.finished()
        assert result.failed == {}
        for job in result.jobs:
            for row in store.rounds(job):
                end = row.started + row.times_ns.sum() / 1e9
                low, high = spans.get((place, row.process), (row.started, end))
                spans[place, row.process] = min(low, row.started), max(high, end)
    assert len(spans) == 4
    order = sorted(spans, key=lambda key: spans[key])
    for earlier, later in itertools.pairwise(order):
        assert spans[earlier][1] <= spans[later][0]
    # They were there at once, or it shows nothing.
    assert {place for place, _ in order[:-1]} == {place for place, _ in order[1:]} == {0, 1}


@pytest.mark.usefixtures("small_groups")
def test_a_node_that_is_killed_is_waited_for(
    farm: Farm,
    cluster: Cluster,
    store: Store,
    odd: Target,
    here: Instance,
    fast: Protocol,
    named: Named,
) -> None:
    """A sweep goes on when another node has the device, and has everything at its end."""
    said: list[str] = []
    sweep = Sweep(store, odd, here, fast, executor=RayExecutor(cluster, say=said.append))
    running = Running(sweep, [named(f"slow {number}") for number in range(6)])
    jobs = sweep._register(running.subjects)
    running.start()
    wait_until(lambda: any(len(store.rounds(job)) > 3 for job in jobs), "round")
    farm.kill()
    before = {job: {(row.process, row.number) for row in store.rounds(job)} for job in jobs}
    assert any(before.values())
    assert not all(store.measurement(job) for job in jobs)
    farm.join()
    result = running.finished()
    assert result.failed == {}
    assert sorted(result.measured) == sorted(jobs)
    for job in jobs:
        assert before[job] <= {(row.process, row.number) for row in store.rounds(job)}
    assert any("trying again" in text for text in said)


# In processes of their own: Ray is connected to one cluster at a time.
def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(ROOT / part) for part in ("", "predictors", "search_plugins"))
    return subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), "profile", *arguments],
        env={**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.parametrize("answers", [False, True])
def test_a_head_that_is_not_there_is_one_line(
    answers: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a closed port nor one of another service keeps anybody waiting."""
    monkeypatch.setattr("latbench.profiling.cluster._REACH_S", 1.0)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        if answers:
            other.listen()
        address = f"ray://127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(UnavailableError) as caught, connected(address, ["cpu"]):
            pass
    assert str(caught.value).startswith(f"{address} does not answer as a Ray head does; see")


def test_ray_that_is_started_here_measures(tmp_path: Path) -> None:
    """``--executor ray`` needs no cluster, and gives what a local run gives."""
    wanted = ("--space", "digits-mobilenet", "--networks", "1", "--protocol", "quick")
    done = command(*wanted, "--executor", "ray", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 measured now" in done.stdout
