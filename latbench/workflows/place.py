"""Where to measure: on this machine, or on a Ray cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from latbench.profiling.child import Limits
from latbench.profiling.process import Executor, LocalExecutor, Say
from latbench.profiling.sweep import Instance
from latbench.target import Target
from latbench.workflows.setting import Setting

HERE = "local"


@dataclass(frozen=True)
class Place:
    """What runs workers, and the targets and instances that are there, in the settings' order."""

    executor: Executor
    targets: list[tuple[Target, Instance]]


@contextlib.contextmanager
def opened(name: str, settings: Sequence[Setting], limits: Limits, say: Say) -> Iterator[Place]:
    """Find the devices of ``settings`` at a place, and keep it open for the time of the block.

    Args:
        name: ``local``, ``ray`` (starts Ray on this machine) or ``ray://HOST[:PORT]``.
        settings: what to measure on. Where several nodes have the device, the one with the least
            instance id is taken, so that the next command goes on there.
        limits: of a worker process.
        say: takes messages for people.

    Raises:
        UnavailableError: the place, a device or a runtime is not there.
    """
    if name == HERE:
        yield Place(LocalExecutor(limits, say), [setting.here() for setting in settings])
        return
    from latbench.profiling.cluster import connected
    from latbench.profiling.ray_executor import RayExecutor

    with connected(name, [setting.device for setting in settings]) as cluster:
        targets = [
            min(cluster.ask_all(setting.device, setting.here), key=lambda found: found[1].id)
            for setting in settings
        ]
        yield Place(RayExecutor(cluster, limits, say), targets)
