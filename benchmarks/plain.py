"""What a plain median says of the runs behind an estimate: others tell that."""

from __future__ import annotations

import numpy as np

from latbench.store import Store


def plain_median_ms(store: Store, job: str) -> float:
    """Return the median of round medians of ``job`` in ms, disturbed runs and all."""
    rounds = store.rounds(job)
    return float(np.median([np.median(one.times_ns) / one.inner for one in rounds])) / 1e6
