"""What workers report, written into the store as it comes; and what the store still lacks."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from latbench.profiling.channel import Message, unpack_times
from latbench.profiling.drifting import record_sentinel
from latbench.profiling.ledger import TOLD, Ledger
from latbench.profiling.process import Before
from latbench.profiling.provenance import provenance
from latbench.runtimes.runtime import is_processor
from latbench.store import Store
from latbench.store.rows import MeasurementRow, ProcessRow, RoundRow
from latbench.target import Target
from latbench.timing import (
    UNKNOWN_COMPANY,
    Digest,
    Estimate,
    Levelling,
    Protocol,
    Samples,
    another_process,
    drift_of,
    levellings,
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
        self._warned = False
        self._ledger = Ledger(store)
        self._drift: float | None = None

    def plan(self, jobs: Iterable[str]) -> dict[str, int]:
        """Return in how many more processes to time each of ``jobs``, which have no result.

        It is none for what was stopped just before it was settled, but one for what failed.
        """
        wanted = list(jobs)
        self._ledger.begin(wanted)
        reasons = self.store.without_latency(wanted)
        return {
            job: max(self._processes_left(job), 0 if reasons.get(job) is None else 1)
            for job in wanted
        }

    def began(self, provenance: Message) -> None:
        """Take ``provenance`` as that of what is written from now on: a worker began there.

        It warns once where the card tells nothing.
        """
        self._provenance = provenance
        untold = provenance.get("card", {}).get("untold")
        if untold is not None and not self._warned:
            self._warned = True
            warnings.warn(
                f"clocks and heat of the {self.target.device} are not recorded, and no round is "
                f"left out because it was slowed: {untold}",
                RuntimeWarning,
                stacklevel=2,
            )

    @property
    def provenance(self) -> Message:
        """Where and how the newest worker measures; this machine as long as there was none."""
        return provenance(self.target) if self._provenance is None else self._provenance

    def _processes_left(self, job: str) -> int:
        """Return in how many more processes to time ``job``.

        A process that was stopped before it gave its share of rounds is made up for by another.
        """
        counts = Counter(one.process for one in self._ledger[job].rounds)
        whole = sum(count >= self.protocol.rounds_least for count in counts.values())
        return max(0, self.protocol.processes - whole)

    def clean_rounds(self, job: str) -> Before:
        """Return the rounds of ``job`` without taints, by process."""
        return self._ledger[job].clean

    def add_process(self, row: ProcessRow) -> None:
        """Write what one worker process tells of a job."""
        self.store.add_process(row)
        self._ledger.add_process(row)

    def add_round(self, row: RoundRow) -> None:
        """Write one round; when this returns it outlives this process."""
        self.store.add_round(row)
        self._ledger.add_round(row)

    def add_sentinel(self, passes: Sequence[Digest]) -> None:
        """Write what one worker process measured of the sentinel."""
        record_sentinel(
            self.store,
            self.target,
            self.instance,
            self.protocol,
            passes,
            self.provenance,
            self._ledger.quiet,
        )
        self._drift = None

    def fail(self, job: str, reason: str) -> None:
        """Store that ``job`` has no latency, and why, on one line."""
        self.store.add_measurement(
            MeasurementRow(job, "failed", reason=_one_line(reason), provenance=self.provenance)
        )

    def settle(self, jobs: Collection[str]) -> set[str]:
        """Store the estimates of ``jobs``, except of those that another process may better.

        Returns:
            the jobs that are not settled, and should be timed in one more process.
        """
        told = self._levellings() if jobs else {}
        return {job for job in jobs if not self._settle(job, told.get(job, UNKNOWN_COMPANY))}

    def _settle(self, job: str, levelling: Levelling) -> bool:
        rounds, estimate = self._ledger[job].rounds, self._estimate(job, levelling)
        # Those without a clean round count too, or a machine that taints them all would never end.
        processes = len({one.process for one in rounds})
        clean = any(not one.taints for one in rounds)
        if clean and another_process(processes, estimate.half_width, self.protocol):
            return False
        if rounds:
            self._add(job, estimate, complete=True)
        self._ledger.close(job)
        return True

    def settle_cut(self, jobs: Collection[str]) -> None:
        """Store the estimates of those of ``jobs``, which a budget cut off, that have new rounds.

        They are not complete: a later sweep goes on, and settles them anew.
        """
        told = self._levellings() if jobs else {}
        for job in jobs:
            rounds = self._ledger[job].rounds
            known = self.store.measurement(job)
            if rounds and (known is None or known.rounds != len(rounds)):
                estimate = self._estimate(job, told.get(job, UNKNOWN_COMPANY))
                self._add(job, estimate, complete=False)

    def _levellings(self) -> dict[str, Levelling]:
        return levellings(self._ledger.seen(), self.protocol, self._ledger.quiet)

    def _estimate(self, job: str, levelling: Levelling) -> Estimate:
        entry = self._ledger[job]
        if self._drift is None:
            history = self.store.sentinel_history(self.target.key, self.instance)
            self._drift = drift_of(history, self.protocol, self._ledger.quiet)
        return Estimate.of(entry.rounds, self.protocol, self._drift, entry.steady, levelling)

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
                provenance={**self.provenance, **self._ledger[job].told},
                complete=complete,
            )
        )


class Turn:
    """What one worker process reports of its group.

    A card's memory is filled by the whole group, and the worker has no limit on it that would end
    the process, so what fails there in company has not failed yet.

    Attributes:
        failed: jobs that failed in it; their reasons are in the store.
        cut: jobs whose timing the budget ended.
        doubted: those of the unfinished that failed in company on a card, and may do well alone.
    """

    def __init__(self, recorder: Recorder, group: Sequence[str]) -> None:
        """Begin a turn of the jobs ``group``."""
        self.failed: set[str] = set()
        self.cut: set[str] = set()
        self.doubted: list[str] = []
        self._recorder = recorder
        self._left = dict.fromkeys(group)
        self._crowded = len(group) > 1 and not is_processor(recorder.target.device)
        self._compiled: dict[str, Message] = {}
        self._sentinel: list[Digest] = []

    @property
    def unfinished(self) -> list[str]:
        """Jobs that have neither ended nor failed for good."""
        return list(self._left)

    def report(self, process: str, message: Message) -> None:
        """Take in one message of the worker process."""
        kind = message["type"]
        if kind == "began":
            self._recorder.began(message["provenance"])
        elif kind == "compiled":
            self._compiled[message["job"]] = message
        elif kind == "warm":
            self._recorder.add_process(self._process_row(process, message))
        elif kind == "round":
            self._recorder.add_round(_round_row(process, message))
        elif kind == "sentinel":
            self._sentinel.append(Digest.from_dict(message))
        elif kind == "done":
            self._left.pop(message["job"])
            if message["outcome"] == "budget":
                self.cut.add(message["job"])
        elif kind == "failed" and self._crowded:
            self.doubted.append(message["job"])
        elif kind == "failed":
            self._left.pop(message["job"])
            self.failed.add(message["job"])
            self._recorder.fail(message["job"], message["reason"])

    def end(self) -> None:
        """Store what the process measured of the sentinel."""
        self._recorder.add_sentinel(self._sentinel)

    def _process_row(self, process: str, message: Message) -> ProcessRow:
        compiled = self._compiled[message["job"]]
        told = {**compiled, **message}
        if "untold" in told.get("run_times", {}):
            told["run_times"] = {"untold": _one_line(told["run_times"]["untold"])}
        return ProcessRow(
            job_id=message["job"],
            process=process,
            precision_run=compiled["precision_run"],
            provenance={
                **self._recorder.provenance,
                "numerics": compiled.get("numerics", {}),
                **{name: told[name] for name in TOLD if told.get(name)},
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
