"""How a data set is named: ``digits``, or a form and the place of its files."""

from __future__ import annotations

from pathlib import Path

from latbench.errors import UsageError
from latbench.registry import unknown

PLACES = {
    "cifar10": "the folder cifar-10-batches-bin or cifar-10-batches-py",
    "imagefolder": "a folder with one folder a class",
    "npz": "an archive with the arrays images and labels",
}
"""What the path leads to, by the form that needs one."""
KINDS = ("digits", *PLACES)
FORMS = "digits, cifar10:PATH, imagefolder:PATH or npz:PATH"
"""Every form as a user writes it."""


def parse(name: str) -> tuple[str, Path | None]:
    """Return the form that ``name`` begins with, and the path behind its colon.

    A ``~`` at the beginning of the path is the home folder: no shell expands it behind a colon.

    Raises:
        UsageError: an unknown form, a path where none belongs, or none where one does.
    """
    kind, _, path = name.partition(":")
    if kind not in KINDS:
        raise UsageError(f"{unknown('data set', kind, KINDS)}; write {FORMS}")
    if kind not in PLACES:
        if name != kind:
            raise UsageError(f"{kind} comes with scikit-learn and takes no path; write {kind}")
        return kind, None
    if not path:
        raise UsageError(f"{name!r} has no path; write {kind}:PATH, where PATH is {PLACES[kind]}")
    return kind, Path(path).expanduser()
