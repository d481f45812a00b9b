"""How a data set is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from latbench.errors import UsageError
from latbench.training.images.naming import FORMS, KINDS, parse


def test_a_name_is_a_form_and_a_path() -> None:
    """Only the first colon divides, and a home folder is found behind it."""
    assert parse("digits") == ("digits", None)
    assert parse("npz:a:b.npz") == ("npz", Path("a:b.npz"))
    assert parse("imagefolder:~/pets") == ("imagefolder", Path.home() / "pets")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("digit", "no data set 'digit'; known: .*; did you mean 'digits'"),
        ("imagefoldr:x", "did you mean 'imagefolder'"),
        ("", "no data set ''"),
        ("cifar10", "'cifar10' has no path; write cifar10:PATH, where PATH is the folder cifar"),
        ("npz:", "'npz:' has no path"),
        ("digits:x", "takes no path; write digits"),
    ],
)
def test_what_is_no_name_is_mended(name: str, says: str) -> None:
    """The nearest form, or how a form is written, stands in the message."""
    with pytest.raises(UsageError, match=says):
        parse(name)


def test_every_form_is_told() -> None:
    """The text that help shows names each form."""
    assert all(kind in FORMS for kind in KINDS)
