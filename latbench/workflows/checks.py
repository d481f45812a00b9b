"""One thing that was looked at, and whether it is as it should be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """The result of looking at one thing.

    Attributes:
        name: what was looked at.
        ok: whether it is as it should be; None where that cannot be told.
        value: what was found, for people.
        advice: what to do about it; empty where it is ok.
    """

    name: str
    ok: bool | None
    value: str
    advice: str = ""
