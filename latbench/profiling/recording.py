"""What workers report, written into the store as it comes; and what the store still lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from latbench.profiling.channel import Message, unpack_times
from latbench.profiling.drifting import record_sentinel
from latbench.profiling.process import Before
from latbench.profiling.provenance import provenance
from latbench.store import Store
from latbench.store.rows import MeasurementRow, ProcessRow, RoundRow
from latbench.target import Target
from latbench.timing import (
    Digest,
    Estimate,
    Protocol,
    Round,
    Samples,
    another_process,
    by_process,
    drift_of,
)

_LONGEST_REASON = 500


class Recorder:
    """Writes the rounds and results of jobs on one target and instance."""

    def __init__(self, store: Store, target: Target, instance: str, protocol: Protocol) -> None:
        """Write into ``store`` what is timed by ``protocol`` on the instance with that id."""
        self.store = store
        self.target = target
        self.instance = instance
        self.protocol = protocol
        self._provenance: Message | None = None

    def began(self, provenance: Message) -> None:
        """Take ``provenance`` as that of what is written from now on: a worker began there."""
        self._provenance = provenance

    @property
    def provenance(self) -> Message:
        """Where and how the newest worker measures; this machine as long as there was none."""
        return provenance(self.target) if self._provenance is None else self._provenance

    def processes_left(self, job: str) -> int:
        """Return in how many more processes to time ``job``, which has no result: at least one.

        A process that was stopped before it gave its share of rounds is made up for by another.
        """
        counts = Counter(row.process for row in self.store.rounds(job))
        whole = sum(count >= self.protocol.rounds_least for count in counts.values())
        return max(1, self.protocol.processes - whole)

    def clean_rounds(self, job: str) -> Before:
        """Return the rounds of ``job`` without taints, by process."""
        rows = self.store.rounds(job)
        return by_process(_round(row) for row in rows if not row.taints)

    def fail(self, job: str, reason: str) -> None:
        """Store that ``job`` has no latency, and why, on one line."""
        self.store.add_measurement(
            MeasurementRow(job, "failed", reason=_one_line(reason), provenance=self.provenance)
        )

    def settle(self, job: str) -> bool:
        """Store the estimate of ``job`` from all its rounds, unless another process may better it.

        Returns:
            whether it is settled; if not, ``job`` should be timed in one more process.
        """
        rounds, estimate = self._estimate(job)
        processes = len(by_process(one for one in rounds if not one.taints))
        if another_process(processes, estimate.half_width, self.protocol):
            return False
        if rounds:
            self._add(job, estimate, complete=True)
        return True

    def settle_cut(self, job: str) -> None:
        """Store the estimate of ``job``, which a budget cut off, if it has any new rounds.

        It is not complete: a later sweep goes on, and settles it anew.
        """
        rounds, estimate = self._estimate(job)
        known = self.store.measurement(job)
        if rounds and (known is None or known.rounds != len(rounds)):
            self._add(job, estimate, complete=False)

    def _estimate(self, job: str) -> tuple[list[Round], Estimate]:
        rounds = [_round(row) for row in self.store.rounds(job)]
        history = self.store.sentinel_history(self.target.key, self.instance)
        steady = all(process.steady for process in self.store.processes(job))
        drift = drift_of(history, self.protocol)
        return rounds, Estimate.of(rounds, self.protocol, drift, steady)

    def _add(self, job: str, estimate: Estimate, complete: bool) -> None:
        self.store.add_measurement(
            MeasurementRow(
                job_id=job,
                status=estimate.status,
                reason=estimate.reason,
                latency_ms=estimate.latency_ms,
                low_ms=estimate.low_ms,
                high_ms=estimate.high_ms,
                half_width=estimate.half_width,
                drift=estimate.drift,
                p90_ms=estimate.p90_ms,
                rounds=estimate.rounds,
                tainted=estimate.tainted,
                provenance=self.provenance,
                complete=complete,
            )
        )


class Turn:
    """What one worker process reports of its group.

    Attributes:
        failed: jobs that failed in it; their reasons are in the store.
        cut: jobs whose timing the budget ended.
    """

    def __init__(self, recorder: Recorder, group: Sequence[str]) -> None:
        """Begin a turn of the jobs ``group``."""
        self.failed: set[str] = set()
        self.cut: set[str] = set()
        self._recorder = recorder
        self._left = dict.fromkeys(group)
        self._compiled: dict[str, Message] = {}
        self._sentinel: list[Digest] = []

    @property
    def unfinished(self) -> list[str]:
        """Jobs that have neither ended nor failed."""
        return list(self._left)

    def report(self, process: str, message: Message) -> None:
        """Take in one message of the worker process."""
        kind, store = message["type"], self._recorder.store
        if kind == "began":
            self._recorder.began(message["provenance"])
        elif kind == "compiled":
            self._compiled[message["job"]] = message
        elif kind == "warm":
            store.add_process(self._process_row(process, message))
        elif kind == "round":
            store.add_round(_round_row(process, message))
        elif kind == "sentinel":
            self._sentinel.append(Digest.from_dict(message))
        elif kind == "done":
            self._left.pop(message["job"])
            if message["outcome"] == "budget":
                self.cut.add(message["job"])
        elif kind == "failed":
            self._left.pop(message["job"])
            self.failed.add(message["job"])
            self._recorder.fail(message["job"], message["reason"])

    def end(self) -> None:
        """Store what the process measured of the sentinel."""
        to = self._recorder
        record_sentinel(
            to.store,
            to.target,
            to.instance,
            to.protocol,
            self._sentinel,
            to.provenance,
        )

    def _process_row(self, process: str, message: Message) -> ProcessRow:
        compiled = self._compiled[message["job"]]
        return ProcessRow(
            job_id=message["job"],
            process=process,
            precision_run=compiled["precision_run"],
            provenance={
                **self._recorder.provenance,
                "numerics": compiled.get("numerics", {}),
            },
            first_run_ms=message["first_run_ms"],
            compile_ms=compiled["compile_ms"],
            warmup_ms=message["warmup_ms"],
            steady=message["steady"],
        )


def _one_line(text: str) -> str:
    """Return ``text`` as databases take it: a program's last words may be any bytes."""
    line = " ".join(text.split())[:_LONGEST_REASON]
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _round_row(process: str, message: Message) -> RoundRow:
    quiet = message["quiet"]
    samples = Samples(
        unpack_times(message["times"]), None if quiet is None else np.array(quiet, dtype=np.bool_)
    )
    return RoundRow(
        job_id=message["job"],
        process=process,
        number=message["number"],
        started=message["started"],
        inner=message["inner"],
        times_ns=samples.times_ns,
        median_ms=float(np.median(samples.times_ns)) / message["inner"] / 1e6,
        taints=tuple(message["taints"]),
        sentinel_ms=message["sentinel_ms"],
        quiet=samples.quiet,
    )


def _round(row: RoundRow) -> Round:
    return Round(
        row.process,
        row.number,
        row.started,
        row.inner,
        Samples(row.times_ns, row.quiet),
        row.taints,
        row.sentinel_ms,
    )
