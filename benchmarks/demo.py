"""How long `latbench demo` takes after set-up, in a fresh folder."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.table import Row

_CLI = Path(__file__).resolve().parents[1] / "cli.py"


def rows() -> list[Row]:
    """Run the demo as a user would."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run([sys.executable, str(_CLI), "demo"], cwd=folder, check=True)
        seconds = time.perf_counter() - start
    return [
        Row("the demo, after set-up", "4 min", f"{seconds:.0f} s", "a fresh folder", seconds <= 240)
    ]
