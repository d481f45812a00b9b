"""An executor that takes no time: what remains is planning and storing."""

from __future__ import annotations

import numpy as np

from latbench.profiling.channel import pack_times
from latbench.profiling.process import Report, Task
from latbench.profiling.provenance import provenance

_ROUNDS = 6


class Stage:
    """Reports for every subject what a worker would, at once."""

    def __init__(self) -> None:
        """Begin with process 0."""
        self._tasks = 0

    def run(self, task: Task, report: Report) -> None:
        """See :class:`latbench.profiling.process.Executor`."""
        self._tasks += 1
        process = f"p{self._tasks}"
        times = pack_times(np.full(30, 1_000_000, dtype=np.int64))
        report(process, {"type": "began", "provenance": provenance(task.target)})
        for job in task.workloads:
            report(
                process,
                {"type": "compiled", "job": job, "compile_ms": 1.0, "precision_run": "fp32"},
            )
            warm = {"steady": True, "first_run_ms": 1.0, "warmup_ms": 1.0}
            report(process, {"type": "warm", "job": job, **warm})
            for number in range(_ROUNDS):
                one = {
                    "number": number,
                    "started": float(number),
                    "inner": 1,
                    "times": times,
                    "quiet": None,
                    "taints": [],
                    "sentinel_ms": None,
                }
                report(process, {"type": "round", "job": job, **one})
            report(process, {"type": "done", "job": job, "outcome": "converged"})
