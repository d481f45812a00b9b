"""Run benchmarks, all or those named, keep their rows, and write the tables in README.md."""

from __future__ import annotations

import platform
import sys
from datetime import date
from importlib import import_module

from benchmarks.table import Measured, Row, kept, markdown, write
from latbench import devices

NAMES = (
    "stitching",
    "lookup",
    "predicting_speed",
    "intervals",
    "predicting",
    "protocols",
    "graph_network",
    "proposing",
    "searching",
    "estimators",
    "gradients",
    "digits",
    "one_shot",
    "mobilenet",
    "measuring",
    "spinning",
    "demo",
)


def main() -> None:
    machine = f"{devices.cpu().label.rsplit(' (', 1)[0]}, Python {platform.python_version()}"
    for name in sys.argv[1:] or NAMES:
        print(f"{name} …", file=sys.stderr)
        rows: list[Row] = []
        for row in import_module(f"benchmarks.{name}").rows():
            rows.append(row)
            print(f"  {row}", file=sys.stderr)
        if not rows:
            continue  # what was measured before is kept
        found = Measured(date.today().isoformat(), machine, rows)
        write({**kept(), name: found}, NAMES)
        print(markdown(name, found))


if __name__ == "__main__":
    main()
