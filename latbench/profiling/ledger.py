"""The rounds of a sweep's jobs: read from the store once, kept up as they are reported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from latbench.store import Store
from latbench.store.rows import ProcessRow, RoundRow
from latbench.timing import Digest, Round, Samples, by_process, undisturbed_ms


@dataclass
class Entry:
    """What a job has so far.

    Attributes:
        rounds: all its rounds, tainted ones too.
        steady: whether every process reached a steady state.
    """

    rounds: list[Round] = field(default_factory=list)
    steady: bool = True

    @property
    def clean(self) -> dict[str, list[Digest]]:
        """Its rounds without taints, by process."""
        return by_process(one for one in self.rounds if not one.taints)

    @property
    def quiet(self) -> list[float]:
        """The share of quiet samples in each round without taints."""
        return [one.digest.quiet / one.digest.samples for one in self.rounds if not one.taints]

    def add_round(self, row: RoundRow) -> None:
        """Take in one more round."""
        self.rounds.append(
            Round(
                row.process,
                row.number,
                row.started,
                row.inner,
                Samples(row.times_ns, row.quiet),
                row.taints,
                row.sentinel_ms,
            )
        )

    def add_process(self, row: ProcessRow) -> None:
        """Take in what one more process tells."""
        self.steady = self.steady and row.steady


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
        self._quiet: list[float] = []

    def begin(self, jobs: Iterable[str]) -> None:
        """Take up ``jobs``, and with those that were begun before the company they had.

        Those that have no rounds yet need no query each.
        """
        wanted = list(jobs)
        begun = self._store.begun(wanted)
        self._entries.update({job: Entry() for job in wanted if job not in begun})
        self._entries.update({job: self._read(job) for job in self._store.company(begun) | begun})

    def __getitem__(self, job: str) -> Entry:
        """Return the entry of ``job``; one that was not taken up comes from the store."""
        if job not in self._entries:
            self._entries[job] = self._read(job)
        return self._entries[job]

    def quiet(self) -> float | None:
        """Return the share of quiet samples, the mean of all clean rounds, None without any."""
        shares = self._quiet + [one for entry in self._entries.values() for one in entry.quiet]
        return float(np.mean(shares)) if shares else None

    def seen(self) -> dict[tuple[str, str], float]:
        """Return the undisturbed latency in ms by job and process, of settled jobs too."""
        quiet = self.quiet()
        for job, entry in self._entries.items():
            for process, group in entry.clean.items():
                self._seen[job, process] = undisturbed_ms(group, quiet)
        return dict(self._seen)

    def close(self, job: str) -> None:
        """Forget the rounds of ``job``, which is settled; what was seen of it stays."""
        entry = self._entries.pop(job, None)
        self._quiet += entry.quiet if entry is not None else []

    def _read(self, job: str) -> Entry:
        entry = Entry()
        for process in self._store.processes(job):
            entry.add_process(process)
        for one in self._store.rounds(job):
            entry.add_round(one)
        return entry
