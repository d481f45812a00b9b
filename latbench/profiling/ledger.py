"""The rounds of a sweep's jobs: read from the store once, kept up as they are reported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from latbench.store import Store
from latbench.store.rows import ProcessRow, RoundRow
from latbench.timing import Round, Samples


@dataclass
class Entry:
    """What a job has so far.

    Attributes:
        rounds: all its rounds, tainted ones too.
        steady: whether every process reached a steady state.
    """

    rounds: list[Round] = field(default_factory=list)
    steady: bool = True

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
    """The entries of jobs that are not settled yet.

    A store that would be asked for all rounds of a job at every step answers most of a sweep's
    questions. What another sweep writes meanwhile into the same jobs is not seen: each settles
    them from its own rounds, and the store keeps the first result.
    """

    def __init__(self, store: Store) -> None:
        """Begin with what ``store`` holds."""
        self._store = store
        self._entries: dict[str, Entry] = {}

    def begin(self, jobs: Iterable[str]) -> None:
        """Take up ``jobs``: those that have no rounds yet without a query for each."""
        wanted = list(jobs)
        begun = self._store.begun(wanted)
        self._entries.update({job: Entry() for job in wanted if job not in begun})

    def __getitem__(self, job: str) -> Entry:
        """Return the entry of ``job``; one that was not taken up comes from the store."""
        if job not in self._entries:
            entry = Entry()
            for process in self._store.processes(job):
                entry.add_process(process)
            for one in self._store.rounds(job):
                entry.add_round(one)
            self._entries[job] = entry
        return self._entries[job]

    def close(self, job: str) -> None:
        """Forget the entry of ``job``, which is settled."""
        self._entries.pop(job, None)
