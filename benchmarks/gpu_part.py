"""One part of the check of a device, in a process of its own: it may crash or hang alone.

A part is a module with a function ``rows(check, before)`` that yields rows as they are found. They
are written down one by one, so that what a crash interrupts is not lost: ``before`` are those that
an earlier call of the same check had written when it was cut off. What the part yields is all that
there is of it, so it yields again what it takes from them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import latbench
from latbench import devices
from latbench.cli.output import plain
from latbench.errors import LatbenchError
from latbench.spaces import SearchSpace
from latbench.store import Store
from latbench.timing import Protocol

ROOT = Path(__file__).resolve().parents[1]
Row = dict[str, Any]
_TO_END_S = 20.0
_FOR_OTHERS_S = 90.0


@dataclass(frozen=True)
class Check:
    """What to look at, and where to keep what was found.

    Attributes:
        device: name of the device profile.
        folder: holds the store, and what each part found.
        seconds: a part is stopped after so many.
        space: name of the search space that networks are of,
        space_options: and its options.
        networks: how many are measured to predict others.
        batches: images a run where runtimes are compared.
        quick: whether to measure by the quick protocol.
        checks: the rules of the contract to look at, as ``pytest -k`` takes them; all if empty.
    """

    device: str
    folder: Path
    seconds: float
    space: str = "mobilenet"
    space_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    networks: int = 200
    batches: tuple[int, ...] = (1, 32)
    quick: bool = False
    checks: str = ""

    @property
    def protocol(self) -> Protocol:
        """How latencies are taken."""
        return Protocol.quick() if self.quick else Protocol.standard()

    @property
    def budget_s(self) -> float:
        """Seconds after which no measurement is to begin, so that the part ends by itself."""
        return max(0.0, self.seconds - _FOR_OTHERS_S)

    def build_space(self) -> SearchSpace:
        """Return the search space.

        Raises:
            PluginError, UsageError: there is none of that name, or with those options.
        """
        return latbench.space(self.space, **self.space_options)

    def store(self) -> Store:
        """Return the store of the check, to be closed."""
        return Store.open(f"sqlite:///{self.folder / 'check.db'}")

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        plain_ones = {"folder": str(self.folder), "batches": list(self.batches)}
        return {**dataclasses.asdict(self), **plain_ones}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Check:
        """Return what :meth:`to_dict` wrote."""
        batches = tuple(data["batches"])
        return cls(**{**data, "folder": Path(data["folder"]), "batches": batches})


def refused(what: str, reason: object, **where: Any) -> Row:
    """Return the row of something that could not be done, with why."""
    return {"what": what, **where, "refused": str(reason)}


def unfinished(what: str, **where: Any) -> Row:
    """Return the row of something that the time was too short for: the next call goes on."""
    reason = "the time was over before all was measured; the same command goes on"
    return {**refused(what, reason, **where), "unfinished": True}


def run_part(name: str, module: str, check: Check, goes_on: bool = False) -> dict[str, Any]:
    """Run the part ``module`` in a process, and return what it found as JSON values.

    ``rows`` and ``refused`` hold what it yielded; ``problem`` tells how the process ended, if not
    by itself, and ``ended`` whether all was done. What it said is in ``NAME.log`` in the folder.
    Where the check ``goes_on``, the part is given what the call before this one had found.
    """
    rows, log = check.folder / f"{name}.jsonl", check.folder / f"{name}.log"
    if not goes_on:
        rows.unlink(missing_ok=True)
    start = time.monotonic()
    with log.open("wb") as said:
        child = subprocess.Popen(
            [sys.executable, "-m", __name__, module, json.dumps(check.to_dict()), str(rows)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                # Of two cards of a model, all parts take the one whose name the rows bear.
                **devices.showing_only(check.device, os.environ),
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
            # Ctrl-C comes from here, so that what the part started can be ended in order.
            start_new_session=True,
        )
        problem = _end_of(child, check.seconds)
    if problem is not None and (words := _last_line(log)):
        problem += f"; it said last: {words}"
    found = _written(rows)
    return {
        "seconds": round(time.monotonic() - start, 1),
        "rows": [row for row in found if "refused" not in row],
        "refused": [row for row in found if "refused" in row],
        "problem": problem,
        "ended": problem is None and not any(row.get("unfinished") for row in found),
    }


def _written(path: Path) -> list[Row]:
    """Return the rows in the file; a last one that a crash cut off is none."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _end_of(child: subprocess.Popen[bytes], seconds: float) -> str | None:
    try:
        status = child.wait(seconds)
    except subprocess.TimeoutExpired:
        return f"it was stopped after {seconds:g} s"
    finally:
        _stop(child)
    if status < 0:
        return f"it was ended by {signal.Signals(-status).name}"
    return None if status == 0 else f"it ended with exit status {status}"


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End the process, in order if it can be, and whatever is left of its group."""
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_TO_END_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _rows(module: str, check: Check, before: Sequence[Row]) -> Iterator[Row]:
    try:
        yield from import_module(module).rows(check, before)
    except (LatbenchError, ImportError) as failure:
        # What is missing may be there when the command is next given.
        yield {**refused(module.rpartition(".")[2], failure), "unfinished": True}


def main() -> None:
    """Run the part that the command line names, and write its rows down."""
    module, text, path = sys.argv[1:]
    check = Check.from_dict(json.loads(text))
    # Who starts this in the background has it ignore Ctrl-C, by which it is ended in order.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    before = _written(Path(path))
    with open(path, "w", encoding="utf-8", buffering=1) as file:
        for row in _rows(module, check, before):
            file.write(json.dumps(plain(row), allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
