"""Real worker processes: what they measure, and that nothing they do hurts the sweep."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import latbench
from latbench.devices import require
from latbench.errors import MeasurementError, UnavailableError
from latbench.profiling.channel import Message
from latbench.profiling.child import KILLED, Limits
from latbench.profiling.device_lock import device_lock
from latbench.profiling.process import LocalExecutor, Report, Task
from latbench.profiling.subjects import (
    Subject,
    block_subjects,
    model_subject,
    network_subjects,
    sentinel,
)
from latbench.profiling.sweep import Instance, Sweep, SweepResult
from latbench.runtimes.onnxruntime import OnnxRuntime
from latbench.runtimes.torch import TorchRuntime
from latbench.store import JobRow, Store
from latbench.store.leaks import leaks
from latbench.target import Target
from latbench.timing import Protocol
from latbench.workflows.profile import _rows

Named = Callable[..., Subject]

ROOT = Path(latbench.__file__).parents[1]
PATIENCE_S = 60.0


@pytest.fixture
def once(fast: Protocol) -> Protocol:
    """The fast protocol with one process a subject."""
    return dataclasses.replace(fast, processes=1)


def test_blocks_networks_and_files_are_measured(
    store: Store, instance: Instance, fast: Protocol, tmp_path: Path
) -> None:
    """Whatever a space and a file give is compiled and timed in as many processes as asked."""
    space = latbench.space("digits-mobilenet", image_size=8)
    X = space.sample(np.random.default_rng(0), 2)
    path = tmp_path / "mine.onnx"
    path.write_bytes(space.to_onnx(X[1]).SerializeToString())
    subjects = [
        *block_subjects(space, blocks=space.blocks[:2]),
        *network_subjects(space, X),
        model_subject(path),
    ]
    target = OnnxRuntime().target("cpu")
    result = Sweep(store, target, instance, fast).run(subjects)
    assert result.failed == {}
    # The file holds the second network: the same graph, whatever its weights are called.
    assert result.jobs[3] == result.jobs[4]
    assert len(result.measured) == 4
    for job in result.measured:
        row = store.measurement(job)
        assert row is not None
        assert row.latency_ms is not None
        assert row.latency_ms > 0
        assert row.low_ms is not None
        assert row.high_ms is not None
        assert row.low_ms <= row.latency_ms <= row.high_ms
        processes = store.processes(job)
        assert len(processes) == fast.processes
        for process in processes:
            assert process.precision_run == "fp32"
            assert process.compile_ms is not None
            assert process.compile_ms > 0
            for place, provenance in (("process", process), ("measurement", row)):
                assert list(leaks(provenance.provenance, socket.gethostname(), place)) == []
        rounds = store.rounds(job)
        assert {one.process for one in rounds} == {process.process for process in processes}
        assert all((one.times_ns > 0).all() for one in rounds)
    table = store.table(space=space.spec)
    assert sorted(table["kind"]) == ["block", "block", "network", "network"]
    history = store.sentinel_history(target.key, instance.id)
    assert len(history) == fast.processes
    assert all(latency_ms > 0 for latency_ms in history)


def test_runtimes_that_build_from_recipes_are_measured(
    store: Store, instance: Instance, once: Protocol
) -> None:
    """The worker rebuilds space and network from what the task says of them."""
    space = latbench.space("nasbench201", image_size=8, cells=1, width=4)
    subjects = network_subjects(space, np.array([[3, 0, 2, 1, 0, 4]]), batch=2)
    target = TorchRuntime().target("cpu", batch=2)
    result = Sweep(store, target, instance, once).run(subjects)
    assert result.measured == result.jobs


def test_failures_stay_alone_in_their_worker(
    store: Store, odd: Target, instance: Instance, once: Protocol, named: Named
) -> None:
    """A subject that raises, in compiling or running, or prints, leaves its group unharmed."""
    names = ["good", "raise at compile", "raise at run", "print at compile", "print at run"]
    result = Sweep(store, odd, instance, once).run([named(name) for name in names])
    by_name = dict(zip(names, result.jobs, strict=True))
    reason = "RuntimeError: the engine has no ? ? such kernel"
    assert result.failed == {by_name[name]: reason for name in names if "raise" in name}
    assert len(result.measured) == 3
    (process,) = {store.processes(job)[0].process for job in result.measured}
    assert process


def test_work_of_one_thread_keeps_to_one_cpu(
    store: Store, odd: Target, instance: Instance, once: Protocol, named: Named
) -> None:
    """Taints are told by CPU, so one thread stays where it is; more may use what there is."""
    for threads, cpus in ((1, 1), (2, len(os.sched_getaffinity(0)))):
        target = dataclasses.replace(odd, threads=threads)
        result = Sweep(store, target, instance, once).run([named("affinity at run")])
        assert list(result.failed.values()) == [f"RuntimeError: it may use {cpus} CPUs"]


def test_a_worker_that_segfaults_takes_nobody_along(
    store: Store, odd: Target, instance: Instance, once: Protocol, named: Named
) -> None:
    """The subject that brings its process down fails with the signal; the other is measured."""
    subjects = [named("good"), named("segfault at run")]
    result = Sweep(store, odd, instance, once).run(subjects)
    assert result.failed == {result.jobs[1]: "its process was killed by SIGSEGV"}
    assert result.measured == [result.jobs[0]]


@pytest.mark.parametrize("device", ["cpu", "v100"])
@pytest.mark.parametrize("when", ["compile", "run"])
def test_a_subject_that_breaks_the_device_fails_alone(
    device: str,
    when: str,
    store: Store,
    odd: Target,
    instance: Instance,
    once: Protocol,
    named: Named,
) -> None:
    """After such an error every call in its process fails, so the others are timed in new ones."""
    names = [f"break at {when}", "good", "better"]
    target = dataclasses.replace(odd, device=device)
    result = Sweep(store, target, instance, once).run([named(name) for name in names])
    assert result.failed == {result.jobs[0]: "RuntimeError: an illegal access"}
    assert result.measured == result.jobs[1:]


class Killer(LocalExecutor):
    """Kills its first workers from outside, each in the middle of its first subject.

    Attributes:
        left: how many of them, from now on.
        tasks: how many workers were started.
    """

    def __init__(self, left: int, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.left, self.tasks = left, 0
        self._mark = uuid.uuid4().hex
        monkeypatch.setenv("MARK", self._mark)  # seen in workers alone: this process had started

    def run(self, task: Task, report: Report) -> str | None:
        self.tasks += 1
        kills = self.left > 0
        self.left -= 1

        def watched(process: str, message: Message) -> None:
            nonlocal kills
            report(process, message)
            if kills and message["type"] == "round":
                kills = False
                (worker,) = processes_marked(self._mark)
                os.kill(worker, signal.SIGKILL)

        return super().run(task, watched)


Killed = Callable[[int], tuple[Killer, SweepResult]]


@pytest.fixture
def long(once: Protocol) -> Protocol:
    """So many rounds that a worker is killed long before the last one."""
    return dataclasses.replace(once, rounds_min=30, rounds_max=30, taint_limit=0.99)


@pytest.fixture
def killed(
    store: Store,
    odd: Target,
    instance: Instance,
    long: Protocol,
    named: Named,
    monkeypatch: pytest.MonkeyPatch,
) -> Killed:
    """Return a function that sweeps one subject, its first workers killed from outside."""

    def sweep(workers: int) -> tuple[Killer, SweepResult]:
        killer = Killer(workers, monkeypatch)
        return killer, Sweep(store, odd, instance, long, executor=killer).run([named("slow")])

    return sweep


def test_a_worker_that_is_killed_once_costs_nothing(
    store: Store, odd: Target, instance: Instance, long: Protocol, named: Named, killed: Killed
) -> None:
    """Its only subject is measured in the same sweep, and the rounds it had are kept."""
    killer, result = killed(1)
    assert result.failed == {}
    assert result.measured == result.jobs
    assert killer.tasks == 2
    counts = Counter(row.process for row in store.rounds(result.jobs[0])).values()
    assert min(counts) < long.rounds_least <= max(counts)
    assert Sweep(store, odd, instance, long).run([named("slow")]).reused == result.jobs


def test_a_worker_that_is_killed_each_time_is_a_failure(killed: Killed) -> None:
    """What the kernel kills for want of memory does not hold the sweep up for ever."""
    killer, result = killed(9)
    (reason,) = result.failed.values()
    assert reason.startswith(f"{KILLED} again when it ran alone")
    assert killer.tasks == 2


def test_a_runtime_that_does_not_work_is_no_result(
    store: Store, odd: Target, instance: Instance, once: Protocol, named: Named
) -> None:
    """An engine that is not there ends the sweep; nothing is stored against its subjects."""
    missing, good = named("lack at compile"), named("good")
    with pytest.raises(UnavailableError, match="the runtime odd does not work here: no engine"):
        Sweep(store, odd, instance, once).run([missing, good])
    mended = dataclasses.replace(missing, workload=dataclasses.replace(missing.workload, name="w"))
    result = Sweep(store, odd, instance, once).run([mended, good])
    assert result.measured == result.jobs
    assert result.failed == {}


def test_a_worker_that_exits_says_its_last_words(
    store: Store, odd: Target, instance: Instance, once: Protocol, named: Named
) -> None:
    """The reason is the exit code, with the last line that the process wrote."""
    result = Sweep(store, odd, instance, once).run([named("exit at compile")])
    assert result.failed == {
        result.jobs[0]: "its process ended with exit code 3: the licence has expired"
    }


def test_a_worker_that_hangs_is_stopped(
    store: Store, odd: Target, instance: Instance, once: Protocol, named: Named
) -> None:
    """A silent worker is stopped after the time that was set, and its subject says so."""
    executor = LocalExecutor(Limits(timeout_s=4.0))
    sweep = Sweep(store, odd, instance, once, executor=executor)
    result = sweep.run([named("hang at run")])
    assert result.failed == {result.jobs[0]: "it reported nothing for 4 s and was stopped"}


def test_a_worker_that_leaks_is_stopped_at_its_limit(
    store: Store, odd: Target, instance: Instance, once: Protocol, named: Named
) -> None:
    """The subject that takes all memory fails alone and names the limit; the other is measured."""
    executor = LocalExecutor(Limits(memory_bytes=2**30))
    sweep = Sweep(store, odd, instance, once, executor=executor)
    result = sweep.run([named("good"), named("leak at run")])
    assert result.failed == {
        result.jobs[1]: "it took more than its memory limit of 1 GiB and was stopped"
    }
    assert result.measured == [result.jobs[0]]


@pytest.mark.parametrize("name", ["garbage at run", "lie at compile"])
def test_garbage_in_the_channel_is_a_reason(
    name: str,
    store: Store,
    odd: Target,
    instance: Instance,
    once: Protocol,
    named: Named,
) -> None:
    """An engine that writes into its worker's channel fails alone; nothing of it is believed."""
    result = Sweep(store, odd, instance, once).run([named("good"), named(name)])
    assert result.measured == [result.jobs[0]]
    (reason,) = result.failed.values()
    assert "wrote to the channel of its reports" in reason
    assert store.rounds(result.jobs[1]) == []


def test_a_worker_that_hangs_up_without_ending_is_stopped(
    store: Store,
    odd: Target,
    instance: Instance,
    once: Protocol,
    named: Named,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An engine that hangs while its process ends is not waited for."""
    monkeypatch.setattr("latbench.profiling.child._TO_END_S", 0.2)
    result = Sweep(store, odd, instance, once).run([named("hangup at compile")])
    (reason,) = result.failed.values()
    assert reason == "its process hung up, did not end within 0.2 s and was stopped"


def test_a_worker_that_cannot_start_is_a_reason(
    store: Store, instance: Instance, once: Protocol, named: Named
) -> None:
    """A runtime that is not known in the worker fails with the registry's message."""
    target = Target("cpu", "unheard-of", "1.0")
    result = Sweep(store, target, instance, once).run([named("good")])
    (reason,) = result.failed.values()
    assert "exit code 1" in reason
    assert "no runtime 'unheard-of'" in reason


def test_modules_in_the_current_folder_are_not_imported(
    store: Store,
    odd: Target,
    instance: Instance,
    once: Protocol,
    named: Named,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file beside the user's models that is called as a library is not taken for it."""
    (tmp_path / "numpy.py").write_text("raise SystemExit('this is not numpy')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert Sweep(store, odd, instance, once).run([named("good")]).failed == {}


def test_a_budget_bounds_the_timing_of_a_group(odd: Target, once: Protocol, named: Named) -> None:
    """A worker ends when its time is spent, though no subject had enough rounds."""
    endless = dataclasses.replace(once, rounds_min=10_000, rounds_max=10_000)
    ends: list[object] = []
    task = Task(
        target=odd,
        instance="i1:test",
        protocol=endless,
        workloads={"job": named("slow").workload},
        before={"job": {}},
        sentinel=sentinel(),
        budget_s=0.5,
    )
    death = LocalExecutor().run(
        task,
        lambda process, message: ends.append(message.get("outcome")),
    )
    assert death is None
    assert ends[-1] == "budget"


def test_two_sweeps_on_one_device_take_turns(
    store: Store, odd: Target, once: Protocol, named: Named
) -> None:
    """Their workers never time at once, though both sweeps run."""
    instance = Instance(f"i1:{uuid.uuid4().hex}", "cpu")
    sweeps = [
        Sweep(store, odd, instance, once, campaign, LocalExecutor(say=print))
        for campaign in ("main", "other")
    ]
    sentinel()  # it is built once, and PyTorch cannot do that in two threads at once
    subjects = [named(f"slow {number}") for number in range(4)]
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda sweep: sweep.run(subjects), sweeps))
    spans = []
    for result in results:
        assert result.failed == {}
        rounds = [row for job in result.jobs for row in store.rounds(job)]
        last = max(row.started + row.times_ns.sum() / 1e9 for row in rounds)
        spans.append((min(row.started for row in rounds), last))
    (_, end), (start, _) = sorted(spans)
    assert end <= start


# A sweep of its own process, in groups of a few subjects, so that it can be stopped between two.
# It tells each round and each result once the store has taken it.
SCRIPT = textwrap.dedent("""
    import hashlib, json, signal, sys
    from latbench.profiling import drifting, sweep
    from latbench.profiling.subjects import Subject
    from latbench.spaces.workload import Workload
    from latbench.store import JobRow, Store
    from latbench.target import Target
    from latbench.timing import Protocol

    def named(name):
        digest = hashlib.sha256(f"{name}1".encode()).hexdigest()
        workload = Workload(f"g1:{digest}", name, (), b"", {"kind": "file", "batch": 1}, 1)
        return Subject(workload, "model", "", name)

    # Who starts the tests in the background has them ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    url, protocol, size, *names = sys.argv[1:]
    sweep.GROUP_SIZE = int(size)
    # The true one would cost seconds for torch.
    drifting.sentinel = sweep.sentinel = lambda: named("sentinel").workload
    with Store.open(url) as store:
        add_round, add_measurement = store.add_round, store.add_measurement

        def told_round(row):
            add_round(row)
            print("round", row.job_id, row.process, row.number, flush=True)

        def told_measurement(row):
            add_measurement(row)
            print("result", row.job_id, flush=True)

        store.add_round, store.add_measurement = told_round, told_measurement
        sweep.Sweep(
            store,
            Target("cpu", "odd", "1.0"),
            sweep.Instance("i1:test", "cpu", {"cores": 2}),
            Protocol.from_dict(json.loads(protocol)),
        ).run([named(name) for name in names])
""")


def processes_marked(mark: str) -> dict[int, str]:
    """Return the command lines of the processes that inherited ``mark``, by their ids."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark.encode() in (folder / "environ").read_bytes():
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(folder.name)] = line
        except OSError:
            continue  # it has ended in the meantime, or is another user's
    return found


def workers_marked(mark: str) -> list[int]:
    """Return the ids of the workers among them."""
    marked = processes_marked(mark).items()
    return [pid for pid, command in marked if "latbench.profiling.worker" in command]


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for ``condition``, or fail for want of ``what``."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {PATIENCE_S:g} s"
        time.sleep(0.02)


@pytest.fixture
def start(
    odd_distribution: Path, url: str, tmp_path: Path
) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """A function that sweeps over odd subjects in another process, marked by its argument."""
    with contextlib.ExitStack() as started:

        def run(
            mark: str, protocol: Protocol, names: list[str], size: int = 1
        ) -> subprocess.Popen[bytes]:
            path = os.pathsep.join([str(ROOT), str(odd_distribution)])
            hangs = str(tmp_path / "hangs")
            main = subprocess.Popen(
                [
                    sys.executable,
                    *("-c", SCRIPT, url, json.dumps(protocol.to_dict()), str(size)),
                    *names,
                ],
                stdout=subprocess.PIPE,
                env={
                    **os.environ,
                    "PYTHONPATH": path,
                    "TMPDIR": str(tmp_path),  # for what a killed sweep cannot clear away
                    "MARK": mark,
                    "ODD_HANGS": hangs,
                },
            )
            started.enter_context(main)
            started.callback(main.kill)
            return main

        yield run


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_sweep_that_is_stopped_loses_nothing(
    stop: signal.Signals,
    start: Callable[..., subprocess.Popen[bytes]],
    store: Store,
    odd: Target,
    instance: Instance,
    once: Protocol,
    named: Named,
) -> None:
    """Rounds stay, no worker is left behind, and the next sweep measures what is missing."""
    # Whatever else the machine does must not end a subject before its thirty rounds.
    protocol = dataclasses.replace(once, rounds_min=30, rounds_max=30, taint_limit=0.99)
    names = ["slow 1", "slow 2", "slow 3"]
    jobs = [
        JobRow(odd.key, instance.id, named(name).workload.id, protocol.name).id for name in names
    ]
    mark = uuid.uuid4().hex
    main = start(mark, protocol, names)

    def whole() -> set[str]:
        return {job for job in jobs if len(store.rounds(job)) >= protocol.rounds_least}

    # It says so as each round is stored: 33 are the first subject and some of the second.
    rounds = 0
    while rounds < protocol.rounds_least + 3:
        line = main.stdout.readline()  # type: ignore[union-attr]
        assert line, "the sweep ended early"
        rounds += line.startswith(b"round")
    main.send_signal(stop)
    assert main.wait(PATIENCE_S) != 0
    wait_until(lambda: not processes_marked(mark), "end of the worker")
    before = {job: Counter(row.process for row in store.rounds(job)) for job in jobs}
    done = whole()
    assert 1 <= len(done) <= 2
    again = Sweep(store, odd, instance, protocol).run([named(name) for name in names])
    assert again.jobs == again.measured == jobs
    for job in jobs:
        after = Counter(row.process for row in store.rounds(job))
        assert before[job].items() <= after.items()
        assert len(after) == len(before[job]) + (job not in done)


def test_a_worker_that_hangs_ends_with_its_sweep(
    start: Callable[..., subprocess.Popen[bytes]], once: Protocol, tmp_path: Path
) -> None:
    """A sweep that is killed leaves no worker, not even one that would never report again."""
    mark = uuid.uuid4().hex
    main = start(mark, once, ["hang at compile"])
    hangs = tmp_path / "hangs"
    wait_until(lambda: hangs.exists() and hangs.read_text() != "", "hanging worker")
    assert workers_marked(mark)
    main.kill()
    main.wait(PATIENCE_S)
    wait_until(lambda: not processes_marked(mark), "end of the worker")


def test_a_sweep_that_is_killed_again_and_again_loses_nothing(
    start: Callable[..., subprocess.Popen[bytes]],
    store: Store,
    odd: Target,
    instance: Instance,
    once: Protocol,
    named: Named,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever was committed stays, and is not measured again, whoever of it is killed when."""
    protocol = dataclasses.replace(once, rounds_min=2, rounds_max=2, warmup_cap_ms=2)
    names = [f"job {number}" for number in range(500)]
    jobs = [
        JobRow(odd.key, instance.id, named(name).workload.id, protocol.name).id for name in names
    ]
    # A round is committed before it is told, so that what was told must be there.
    rng = random.Random(0)
    before: dict[str, dict[tuple[str, int], bytes]] = {job: {} for job in jobs}
    done: set[str] = set()
    for _ in range(3):
        mark = uuid.uuid4().hex
        main = start(mark, protocol, names, 64)
        told = [main.stdout.readline() for _ in range(rng.randint(1, 400))]  # type: ignore[union-attr]
        # The second time it is likely to be one of the workers that look for the guilty.
        for _ in range(2):
            for worker in workers_marked(mark):
                with contextlib.suppress(ProcessLookupError):  # it had come to its end by itself
                    os.kill(worker, signal.SIGKILL)
            told += [main.stdout.readline() for _ in range(rng.randint(1, 6))]  # type: ignore[union-attr]
        main.kill()
        told += main.stdout.readlines()[:-1]  # type: ignore[union-attr]
        main.wait(PATIENCE_S)
        after = {job: rounds_of(store, job) for job in jobs}
        for kind, job, *which in filter(None, (line.decode().split() for line in told)):
            if kind == "round":
                assert (which[0], int(which[1])) in after[job]
            else:
                assert store.measurement(job) is not None
        for job in jobs:
            assert before[job].items() <= after[job].items()
            if job in done:
                assert before[job] == after[job]
        before, done = after, store.measured(jobs)
    assert done < set(jobs)  # or it was killed too late to show anything
    monkeypatch.setattr("latbench.profiling.sweep.GROUP_SIZE", 64)
    result = Sweep(store, odd, instance, protocol).run([named(name) for name in names])
    assert result.failed == {}
    assert set(result.reused) == done
    assert set(result.measured) == set(jobs) - done
    for job in jobs:
        (row,) = store.attempts(job)
        assert row.latency_ms is not None
        assert before[job].items() <= rounds_of(store, job).items()
        assert job not in done or before[job] == rounds_of(store, job)


def rounds_of(store: Store, job: str) -> dict[tuple[str, int], bytes]:
    """Return the samples of each round of ``job``, of which none is there twice."""
    rows = store.rounds(job)
    rounds = {(row.process, row.number): row.times_ns.tobytes() for row in rows}
    assert len(rounds) == len(rows)
    return rounds


def test_a_compiled_graph_comes_from_a_worker() -> None:
    """What a worker tells is what a session in this process tells, but for the times."""
    runtime = OnnxRuntime()
    target = runtime.target("cpu")
    space = latbench.space("digits-mobilenet", image_size=8)
    workload = space.network_workload([1] * 8)
    told = LocalExecutor().describe(workload, target, runs=2)
    here = runtime.compile(workload, target).kernels(runs=2)
    assert [(one.name, one.kind, one.nodes, one.precision) for one in told.kernels] == [
        (one.name, one.kind, one.nodes, one.precision) for one in here.kernels
    ]
    assert told.folded == here.folded
    assert (told.whole_ms or 0.0) > (told.sum_ms or 0.0) > 0.0


def test_nothing_is_described_while_the_device_is_timed_on(odd: Target, named: Named) -> None:
    """Its kernels run on the device too: it waits for whoever holds the lock, and says so."""
    waits = threading.Event()
    executor = LocalExecutor(say=lambda text: waits.set())

    def describe() -> str:
        with pytest.raises(MeasurementError) as refused:
            executor.describe(named("plain").workload, odd)
        return str(refused.value)

    with ThreadPoolExecutor() as pool:
        with device_lock(require("cpu").instance, print):
            described = pool.submit(describe)
            assert waits.wait(PATIENCE_S)
            assert not described.done()
        assert "does not tell which kernels" in described.result(PATIENCE_S)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("segfault at compile", "killed by SIGSEGV"),
        ("raise at compile", "RuntimeError: the engine has no"),
        ("exit at compile", "the licence has expired"),
        ("plain", "OddSession does not tell which kernels it compiled"),
    ],
)
def test_no_worker_that_fails_to_describe_hurts(
    odd: Target, named: Named, name: str, says: str
) -> None:
    """A crash, a refusal and a runtime that does not tell are one line that says why."""
    with pytest.raises(MeasurementError) as refused:
        LocalExecutor().describe(named(name).workload, odd)
    assert says in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_what_a_device_tells_is_kept_apart(
    store: Store, odd: Target, instance: Instance, once: Protocol, named: Named
) -> None:
    """Its clock gives the latency; build, launches and whole stand in the provenance."""
    subjects = [named("device"), named("plain"), named("raise at times")]
    result = Sweep(store, odd, instance, once).run(subjects)
    assert result.failed == {}
    device, plain, silent = (store.measurement(job) for job in result.jobs)
    assert device is not None
    assert plain is not None
    assert silent is not None
    assert device.latency_ms == pytest.approx(0.25)
    assert plain.latency_ms != pytest.approx(0.25)
    expected = {
        "gpu_ms": 0.25,
        "enqueue_ms": 0.05,
        "e2e_ms": 0.5,
        "hidden": True,
        "enqueue_bound": False,
        "runs": 3,
    }
    (process,) = store.processes(result.jobs[0])
    for provenance in (process.provenance, device.provenance):
        assert provenance["run_times"] == expected
        assert provenance["build"] == {"engine_sha256": "0f", "built_ms": 12.5}
    assert {"run_times", "build"}.isdisjoint(plain.provenance)
    rows = _rows(store, odd, subjects, result.jobs)
    shown = {name: expected[name] for name in expected if name != "runs"}
    assert shown.items() <= rows[0].items()
    assert shown.keys().isdisjoint(rows[1])
    told = silent.provenance["run_times"]["untold"]
    assert told == "RuntimeError: the engine has no ? ? such kernel"
