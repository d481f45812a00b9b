"""Papers' protocols by name: our rows under the published ones, on the papers' own data."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from latbench.errors import UsageError
from latbench.registry import unknown
from latbench.workflows import help_protocol, help_tables
from latbench.workflows.protocol import Request, Row

PROTOCOLS: dict[str, Callable[[Request], list[Row]]] = {
    "help-nb201": partial(help_protocol.rows, help_tables.NB201),
    "help-fbnet": partial(help_protocol.rows, help_tables.FBNET),
}


def evaluate(protocol: str, request: Request) -> list[Row]:
    """Return the published rows of ``protocol``, then ours.

    Raises:
        UsageError: an unknown protocol, or data that is not there or not what it should be.
    """
    if protocol not in PROTOCOLS:
        raise UsageError(unknown("protocol", protocol, PROTOCOLS))
    return PROTOCOLS[protocol](request)
