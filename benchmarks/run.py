"""Run every benchmark and write the table in README.md."""

from __future__ import annotations

import sys
from datetime import date
from importlib import import_module

from benchmarks.table import Row, markdown, write
from latbench import devices

NAMES = ("stitching", "lookup", "proposing", "mobilenet", "measuring", "demo")


def main() -> None:
    names = sys.argv[1:] or list(NAMES)
    rows: list[Row] = []
    for name in names:
        print(f"{name} …", file=sys.stderr)
        for row in import_module(f"benchmarks.{name}").rows():
            rows.append(row)
            print(f"  {row}", file=sys.stderr)
    machine = devices.cpu().label.rsplit(" (", 1)[0]
    text = markdown(rows, machine, date.today().isoformat())
    print(text)
    if not sys.argv[1:]:
        write(text)


if __name__ == "__main__":
    main()
