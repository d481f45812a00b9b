"""Processes side by side, each with CPUs of its own, so that none takes time from another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue

import torch


@contextmanager
def lanes(number: int) -> Iterator[ProcessPoolExecutor]:
    """Give ``number`` processes, which share out the CPUs that this one may use.

    Raises:
        ValueError: there are fewer CPUs.
    """
    cpus = sorted(os.sched_getaffinity(0))
    if not 1 <= number <= len(cpus):
        raise ValueError(f"{number} lanes on {len(cpus)} CPUs: take 1 to {len(cpus)}")
    context = get_context("spawn")
    shares: SimpleQueue[set[int]] = context.SimpleQueue()
    for lane in range(number):
        shares.put(set(cpus[lane::number]))
    pool = ProcessPoolExecutor(number, context, _keep_to, (shares,))
    try:
        yield pool
    finally:
        # What an interruption finds waiting is not begun.
        pool.shutdown(cancel_futures=True)


def _keep_to(shares: SimpleQueue[set[int]]) -> None:
    mine = shares.get()
    # Threads that libraries began as they were imported, too.
    for thread in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(thread), mine)
    torch.set_num_threads(len(mine))
