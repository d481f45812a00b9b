"""The rounds of a sweep's jobs: read from the store once, kept up as they are reported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from latbench.store import Store
from latbench.store.rows import ProcessRow, RoundRow
from latbench.timing import Digest, Round, Samples, by_process, undisturbed_ms

TOLD = ("build", "run_times", "card")
"""What a process may tell of a job beside its rounds, under these names of its provenance."""


@dataclass
class Entry:
    """What a job has so far.

    Attributes:
        rounds: all its rounds, tainted ones too.
        steady: whether every process reached a steady state.
        told: what the newest process told of its build, of the device's own times and of the card
            at work.
    """

    rounds: list[Round] = field(default_factory=list)
    steady: bool = True
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def clean(self) -> dict[str, list[Digest]]:
        """Its rounds without taints, by process."""
        return by_process(one for one in self.rounds if not one.taints)


class Ledger:
    """The entries of jobs that are not settled yet, and the latencies that any of them had.

    A store that would be asked for all rounds of a job at every step answers most of a sweep's
    questions. What another sweep writes meanwhile into the same jobs is not seen: each settles
    them from its own rounds, and the store keeps the first result.
    """

    def __init__(self, store: Store) -> None:
        """Begin with what ``store`` holds."""
        self._store = store
        self._entries: dict[str, Entry] = {}
        self._seen: dict[tuple[str, str], float] = {}
        # The sum of the shares of quiet samples over clean rounds, and how many these are.
        self._quiet, self._clean = 0.0, 0

    def begin(self, jobs: Iterable[str]) -> None:
        """Take up ``jobs``, and with those that were begun before the company they had.

        Those that have no rounds yet need no query each.
        """
        wanted = list(jobs)
        begun = self._store.begun(wanted)
        self._entries.update({job: Entry() for job in wanted if job not in begun})
        for job in self._store.company(begun) | begun:
            self._read(job)

    def __getitem__(self, job: str) -> Entry:
        """Return the entry of ``job``; one that was not taken up comes from the store."""
        if job not in self._entries:
            self._read(job)
        return self._entries[job]

    def add_process(self, row: ProcessRow) -> None:
        """Take in what one more process tells of a job that was taken up."""
        entry = self._entries[row.job_id]
        entry.steady = entry.steady and row.steady
        entry.told |= {name: row.provenance[name] for name in TOLD if name in row.provenance}

    def add_round(self, row: RoundRow) -> None:
        """Take in one more round of a job that was taken up."""
        samples = Samples(row.times_ns, row.quiet)
        one = Round(
            row.process, row.number, row.started, row.inner, samples, row.taints, row.sentinel_ms
        )
        self._entries[row.job_id].rounds.append(one)
        if not one.taints:
            self._quiet += one.digest.quiet / one.digest.samples
            self._clean += 1

    @property
    def quiet(self) -> float | None:
        """The share of quiet samples, the mean over all clean rounds; None without any."""
        return self._quiet / self._clean if self._clean else None

    def seen(self) -> dict[tuple[str, str], float]:
        """Return the undisturbed latency in ms by job and process, of settled jobs too."""
        for job, entry in self._entries.items():
            for process, group in entry.clean.items():
                self._seen[job, process] = undisturbed_ms(group, self.quiet)
        return dict(self._seen)

    def close(self, job: str) -> None:
        """Forget the rounds of ``job``, which is settled; what was seen of it stays."""
        self._entries.pop(job, None)

    def _read(self, job: str) -> None:
        self._entries[job] = Entry()
        for process in self._store.processes(job):
            self.add_process(process)
        for one in self._store.rounds(job):
            self.add_round(one)
