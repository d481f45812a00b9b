"""The counters of a machine and of its card: what taints the rounds of a device."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from latbench.timing import CounterFiles, Counters

if TYPE_CHECKING:  # a worker of a processor need not load what knows of devices
    from latbench.devices import CardWatch


def counters_of(watch: CardWatch | None) -> Callable[[], Counters]:
    """Return what reads the counters for rounds: the machine's, and those of a card in sight."""
    machine = CounterFiles().read
    return machine if watch is None else CardCounters(machine, watch).read


class CardCounters:
    """Counters that also count how often the card was found slowed down.

    NVML tells what is, not what was. A round lies between two readings, so one that finds the card
    slowed counts twice: for the round that it ends, and, with the next, for the one that it begins.
    """

    def __init__(self, machine: Callable[[], Counters], watch: CardWatch) -> None:
        """Add to what ``machine`` reads what ``watch`` sees."""
        self._machine = machine
        self._watch = watch
        self._count = 0
        self._was_slowed = False

    def read(self) -> Counters:
        """Read both: the machine, and with some tens of microseconds the card."""
        slowdowns = self._watch.slowdowns()
        counters = self._machine()
        if slowdowns is None:
            return counters
        self._count += self._was_slowed + bool(slowdowns)
        self._was_slowed = bool(slowdowns)
        return dataclasses.replace(counters, card_slowdowns=self._count)
