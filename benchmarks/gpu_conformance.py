"""The contract of runtimes on the device that is here: one row a suite.

Each suite of ``tests/runtimes/test_on_device.py`` runs in a process of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from benchmarks.gpu_part import ROOT, Check, Row, refused
from latbench import devices
from latbench.errors import UnavailableError
from latbench.profiling.device_lock import device_lock

_SUITES = ROOT / "tests" / "runtimes" / "test_on_device.py"
_NOTHING_CHOSEN = 5  # pytest's exit status
_LENGTH = 500


def rows(check: Check, before: Sequence[Row]) -> Iterator[Row]:
    """Yield for each suite how many rules hold, which do not, and what was left out and why.

    Suites that have a row from ``before`` are not run again.

    Raises:
        UnavailableError: pytest is not here.
    """
    if find_spec("pytest") is None:
        raise UnavailableError("pytest is not installed; run: pip install pytest")
    known = {row.get("suite", row.get("what")): row for row in before}
    instance = devices.require(check.device).instance
    for suite in suites():
        if suite not in known:
            with device_lock(instance, warnings.warn):
                known[suite] = row_of(check, suite)
        yield known[suite]


def suites() -> list[str]:
    """Return the names of all suites, without loading them."""
    return re.findall(r"^class (Test\w+)", _SUITES.read_text(encoding="utf-8"), re.MULTILINE)


def row_of(check: Check, suite: str) -> Row:
    """Run one suite and return its row."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", f"{_SUITES}::{suite}", f"--junitxml={report}"]
        chosen = ["-k", check.checks] if check.checks else []
        done = subprocess.run(
            [*command, *chosen, "-q", "-p", "no:cacheprovider", f"--rootdir={ROOT}"],
            cwd=ROOT,
            env={**os.environ, "LATBENCH_TEST_DEVICE": check.device},
            capture_output=True,
            text=True,
            check=False,
        )
        if not report.exists() or done.returncode not in (0, 1, _NOTHING_CHOSEN):
            said = (done.stderr or done.stdout).strip().splitlines()
            why = f"pytest ended with exit status {done.returncode}: {said[-1] if said else '-'}"
            return refused(suite, why)
        cases = list(ElementTree.parse(report).iter("testcase"))
    return told(suite, cases)


def told(suite: str, cases: list[ElementTree.Element]) -> Row:
    """Return the row of a suite, from what pytest wrote of each of its tests."""
    failed: list[dict[str, Any]] = []
    skipped: Counter[str] = Counter()
    for case in cases:
        for what in case:
            reason = " ".join(what.get("message", "").split())[:_LENGTH]
            if what.tag in ("failure", "error"):
                failed.append({"check": case.get("name"), "reason": reason})
            elif what.tag == "skipped":
                skipped[reason] += 1
    kept = len(cases) - len({one["check"] for one in failed}) - skipped.total()
    # A runtime that is not here still says why, and that is the one rule that it keeps.
    if kept <= 1 and not failed and len(skipped) == 1:
        return refused(suite, *skipped)
    return {"suite": suite, "passed": kept, "failed": failed, "skipped": dict(skipped)}
