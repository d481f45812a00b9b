"""Papers' protocols by name: our rows under the published ones, on the papers' own data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from latbench.errors import UsageError
from latbench.registry import unknown
from latbench.workflows.protocols import (
    accel_nasbench,
    help,
    help_ofa,
    help_tables,
    nasflat,
    nb201_900,
    neusight,
    proxyless_lut,
)
from latbench.workflows.protocols.rows import Request, Row


@dataclass(frozen=True)
class Protocol:
    """A paper's protocol.

    Attributes:
        about: what it is, in a few words.
        rows: runs it.
        shown: the scores that are printed by device, by name; of the others there are means.
    """

    about: str
    rows: Callable[[Request], list[Row]]
    shown: tuple[str, ...] = ("spearman",)


PROTOCOLS: dict[str, Protocol] = {
    "help-nb201": Protocol(
        "HELP's Table 3: six devices, NAS-Bench-201", partial(help.rows, help_tables.NB201)
    ),
    "help-fbnet": Protocol(
        "HELP's Table 2: three devices, FBNet", partial(help.rows, help_tables.FBNET)
    ),
    "help-ofa": Protocol(
        "HELP's Once-for-all table: twelve columns of GPUs", help_ofa.rows, help_ofa.SHOWN
    ),
    "nasflat-fbnet": Protocol("NASFLAT's six tasks on FBNet", partial(nasflat.rows, nasflat.FBNET)),
    "nasflat-nb201": Protocol(
        "NASFLAT's task ND on NAS-Bench-201", partial(nasflat.rows, nasflat.NB201)
    ),
    "nb201-900": Protocol(
        "900 cells a device, as BRP-NAS has them",
        nb201_900.rows,
        shown=("within_predicted_10", "within_10", "spearman", "mape"),
    ),
    "accel-nasbench": Protocol(
        "Accel-NASBench's split: eight columns of devices",
        accel_nasbench.rows,
        accel_nasbench.SHOWN,
    ),
    "neusight": Protocol(
        "NeuSight's kernels: GPUs that were measured, and others", neusight.rows, neusight.SHOWN
    ),
    "proxyless-lut": Protocol(
        "ProxylessNAS' table of a phone: sums of blocks", proxyless_lut.rows, proxyless_lut.SHOWN
    ),
}


def evaluate(protocol: str, request: Request) -> list[Row]:
    """Return the published rows of ``protocol``, then ours.

    Raises:
        UsageError: an unknown protocol, or data that is not there or not what it should be.
    """
    return find(protocol).rows(request)


def find(protocol: str) -> Protocol:
    """Return the protocol of that name.

    Raises:
        UsageError: there is none.
    """
    if protocol not in PROTOCOLS:
        raise UsageError(unknown("protocol", protocol, PROTOCOLS))
    return PROTOCOLS[protocol]
