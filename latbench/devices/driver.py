"""The facts of NVIDIA's graphics cards, as their driver reports them through ``nvidia-smi``."""

from __future__ import annotations

import csv
import subprocess
from dataclasses import dataclass

_OLD_FIELDS = ("name", "uuid", "memory.total", "driver_version", "power.limit", "clocks.max.sm")
# A driver that does not know one of the fields refuses the whole query.
_NEW_FIELDS = (*_OLD_FIELDS, "compute_cap", "ecc.mode.current", "mig.mode.current")
# A card that has fallen off the bus makes the tool hang.
_TIMEOUT_S = 30


@dataclass(frozen=True)
class CardFacts:
    """A graphics card; what its driver does not tell is None.

    Attributes:
        memory_bytes: memory of the card.
        driver: driver version.
        power_limit_w: power cap in watts.
        max_sm_clock_mhz: highest clock of the multiprocessors in MHz.
        compute_capability: CUDA compute capability.
        ecc: whether memory is error-corrected: ``Enabled`` or ``Disabled``.
        mig: whether the card is partitioned: ``Enabled`` or ``Disabled``.
    """

    memory_bytes: int | None
    driver: str | None
    power_limit_w: float | None
    max_sm_clock_mhz: float | None
    compute_capability: str | None
    ecc: str | None
    mig: str | None


@dataclass(frozen=True)
class Card:
    """A card with its name and its UUID; the UUID is only ever stored hashed."""

    name: str
    uuid: str | None
    facts: CardFacts


def read_cards() -> tuple[list[Card], str | None]:
    """Return the cards of this machine, and the reason where the driver shows none."""
    reason = "no NVIDIA driver"
    for fields in (_NEW_FIELDS, _OLD_FIELDS):
        query = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
        try:
            answer = subprocess.run(
                query, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
            )
        except FileNotFoundError:
            return [], "nvidia-smi is not installed"
        except OSError as failure:
            return [], f"nvidia-smi does not start ({failure.strerror})"
        except subprocess.TimeoutExpired:
            return [], f"nvidia-smi did not answer within {_TIMEOUT_S} s"
        if answer.returncode == 0:
            rows = csv.reader(answer.stdout.splitlines())
            found = [
                _card(dict(zip(fields, map(str.strip, row), strict=False))) for row in rows if row
            ]
            return found, None if found else "nvidia-smi lists no card"
        reason = "nvidia-smi failed: " + " ".join((answer.stderr or answer.stdout).split())
    return [], reason


def _card(row: dict[str, str]) -> Card:
    # What the driver does not tell comes as "[N/A]", "[Not Supported]" or plain "N/A".
    told = {key: text for key, text in row.items() if text != "N/A" and not text.startswith("[")}
    mebibytes = _number(told.get("memory.total"))
    facts = CardFacts(
        memory_bytes=None if mebibytes is None else int(mebibytes * 1024**2),
        driver=told.get("driver_version"),
        power_limit_w=_number(told.get("power.limit")),
        max_sm_clock_mhz=_number(told.get("clocks.max.sm")),
        compute_capability=told.get("compute_cap"),
        ecc=told.get("ecc.mode.current"),
        mig=told.get("mig.mode.current"),
    )
    return Card(name=row["name"], uuid=told.get("uuid"), facts=facts)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
