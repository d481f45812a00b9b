"""The executor that times on the machines of a Ray cluster, each device by its own rules.

What a worker process does is a result, wherever it runs. What the cluster does is tried again.
"""

from __future__ import annotations

import dataclasses
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

from latbench import devices, registry
from latbench.errors import LatbenchError, UnavailableError
from latbench.profiling.channel import Message
from latbench.profiling.child import Limits
from latbench.profiling.cluster import Cluster, ClusterFault, resource_of
from latbench.profiling.process import Report, Say, Task, models, new_process, request
from latbench.profiling.station import Station, limits_message

_RETRIES = 2
_QUIET_S = 2.0
_POLL_S = 5.0
_SILENCE_S = 60.0
_LOOK_EVERY_S = 1.0

Identity = tuple[str, str]
"""A device instance and the version of a runtime there."""


class RayExecutor:
    """Runs each task on the node that has its device instance, one at a time on a device."""

    def __init__(
        self,
        cluster: Cluster,
        limits: Limits | None = None,
        say: Say = warnings.warn,
        *,
        rejoin_s: float = 120.0,
        longest_wait_s: float = 3600.0,
    ) -> None:
        """Prepare to run tasks.

        Args:
            cluster: where.
            limits: of a worker process.
            say: told what is being waited for, and what is tried again.
            rejoin_s: how long to wait for a node that was lost.
            longest_wait_s: how long to wait for a device that others use.
        """
        self._cluster = cluster
        self._limits = limits or Limits()
        self._say = say
        self._rejoin_s = rejoin_s
        self._longest_wait_s = longest_wait_s
        # By node and runtime; a node that comes back has another id.
        self._identities: dict[tuple[str, str], Identity] = {}
        self._refusals: dict[tuple[str, str], str] = {}

    def run(self, task: Task, report: Report) -> str | None:
        """See :class:`latbench.profiling.process.Executor`."""
        began_s = time.monotonic()
        settled: set[str] = set()

        def noted(process: str, message: Message) -> None:
            report(process, message)
            if message["type"] in ("done", "failed"):
                settled.add(message["job"])

        sent: dict[str, Any] = {}
        for attempt in range(1 + _RETRIES):
            left = task.only([job for job in task.workloads if job not in settled])
            if not left.workloads:
                return None
            if task.budget_s is not None:
                spent_s = time.monotonic() - began_s
                left = dataclasses.replace(left, budget_s=max(0.0, task.budget_s - spent_s))
            node = self._node(left, again=attempt > 0)
            try:
                return self._attempt(left, node, sent, noted)
            except ClusterFault as fault:
                self._identities.pop((node, task.target.runtime), None)
                reason = str(fault)
                if attempt < _RETRIES:
                    self._say(f"{resource_of(task.target.device)} failed ({reason}); trying again")
        raise UnavailableError(
            f"{resource_of(task.target.device)} failed {1 + _RETRIES} times, {len(left.workloads)} "
            f"subjects of this group are not measured: {reason}; see to the node and run the "
            "command again, it goes on where it was"
        )

    def _attempt(self, task: Task, node: str, sent: dict[str, Any], report: Report) -> str | None:
        cluster, process = self._cluster, new_process()
        files = dict(models(task))
        with cluster.actor(node, task.target.device, Station) as station:
            for name in self._first(station.missing.remote(list(files)), task):
                if name not in sent:
                    sent[name] = cluster.put(files[name])
                cluster.get(station.keep.remote(name, sent[name]), _SILENCE_S)
            wanted = request(task, process, Path())
            limits = limits_message(self._limits)
            cluster.get(station.start.remote(wanted, limits, task.instance), _SILENCE_S)
            return self._listen(station, process, report)

    def _listen(self, station: Any, process: str, report: Report) -> str | None:
        waited_s = time.monotonic()
        began = False
        while True:
            try:
                said = self._cluster.get(station.messages.remote(_POLL_S), _POLL_S + _SILENCE_S)
            except TimeoutError as failure:
                raise ClusterFault(f"it did not answer for {_SILENCE_S:g} s") from failure
            for message in said:
                kind = message["type"]
                if kind == "ended":
                    death: str | None = message["death"]
                    return death
                if kind == "unavailable":
                    raise UnavailableError(f"the node of the device says: {message['reason']}")
                if kind == "broken":
                    raise ClusterFault(message["reason"])
                if kind == "waiting":
                    self._say(message["text"])
                else:
                    began = True
                    report(process, message)
            if not began and time.monotonic() - waited_s > self._longest_wait_s:
                raise ClusterFault(f"its lock was held for {self._longest_wait_s:g} s")

    def _first(self, answer: Any, task: Task) -> list[str]:
        """Return the first answer of a station, which has to wait for its device."""
        deadline = time.monotonic() + self._longest_wait_s
        wait_s = _QUIET_S
        while True:
            try:
                names: list[str] = self._cluster.get(answer, wait_s)
                return names
            except TimeoutError as failure:
                if time.monotonic() > deadline:
                    text = f"it was in use for {self._longest_wait_s:g} s"
                    raise ClusterFault(text) from failure
                if wait_s == _QUIET_S:
                    resource = resource_of(task.target.device)
                    self._say(f"waiting for {resource}, which somebody else may be using")
                wait_s = _SILENCE_S

    def _node(self, task: Task, again: bool) -> str:
        """Return the node that has the task's instance and runtime; wait for one that was lost."""
        device, runtime = task.target.device, task.target.runtime
        wanted = (task.instance, task.target.runtime_version)
        deadline = time.monotonic() + self._rejoin_s
        while True:
            for node in self._cluster.nodes_with(device):
                if self._identity(node, device, runtime) == wanted:
                    return node
            if time.monotonic() > deadline:
                others = "".join(f"; one there says: {text}" for text in self._refusals.values())
                raise UnavailableError(
                    f"the node with {resource_of(device)} that this sweep began on ({wanted[0]}, "
                    f"{runtime} {wanted[1]}) is gone, {len(task.workloads)} subjects of this group "
                    "are not measured; start it and run the command again, it goes on where it "
                    f"was{others}"
                )
            if not again:
                again = True
                self._say(f"waiting up to {self._rejoin_s:g} s for a node that was lost")
            time.sleep(_LOOK_EVERY_S)

    def _identity(self, node: str, device: str, runtime: str) -> Identity | None:
        known = self._identities.get((node, runtime))
        if known is None:
            try:
                known = self._cluster.ask(node, partial(identity, device, runtime))
            # A node that cannot tell, or is about to leave, is not the one.
            except (ClusterFault, LatbenchError) as refusal:
                self._refusals[node, runtime] = str(refusal)
                return None
            self._identities[node, runtime] = known
        return known


def identity(device: str, runtime: str) -> Identity:
    """Return which instance of ``device`` this machine is, and its version of ``runtime``."""
    found = registry.load(registry.RUNTIMES, runtime)()
    return devices.require(device).instance, found.version()
