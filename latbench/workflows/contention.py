"""How often this process has a core to itself, told by the probe that stands between samples."""

from __future__ import annotations

import time

from latbench.timing import CoreProbe, Protocol
from latbench.workflows.checks import Check

# With less, many rounds end at their cap before they hold enough quiet samples.
_QUIET_SHARE = 0.5


def contention(seconds: float) -> Check:
    """Probe for ``seconds`` and return how often the core was undisturbed."""
    probe = CoreProbe(Protocol().probe_tolerance)
    end = time.monotonic() + seconds
    quiet = readings = 0
    while time.monotonic() < end:
        quiet += probe.quiet()
        readings += 1
    return judge(quiet / max(1, readings))


def judge(share: float) -> Check:
    """Return the check for the share of quiet readings."""
    ok = share >= _QUIET_SHARE
    return Check(
        "undisturbed core",
        ok,
        f"{share:.0%} of the time",
        ""
        if ok
        else "something else uses the same physical core or its caches: end it, or, if it is "
        "another tenant's, take a machine of your own; measuring takes longer until then",
    )
