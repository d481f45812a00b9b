"""How much memory is there to take."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from latbench.devices.host import read_text
from latbench.timing.counter_files import control_groups

# Of a group: its limit, what it uses, and what of that are files, which the kernel can take back.
# Of the two generations of control groups the newer comes first.
_FILES = (
    ("memory.max", "memory.current", r"^(?:in)?active_file (\d+)"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", r"^total_(?:in)?active_file (\d+)"),
)


def available_bytes(root: Path = Path("/")) -> int:
    """Return the memory that can be had without swapping or exceeding a container's limit.

    Args:
        root: the file tree to read.
    """
    return max(0, min([_of_the_machine(root), *_of_the_groups(root)]))


def _of_the_machine(root: Path) -> int:
    told = re.search(r"^MemAvailable:\s*(\d+) kB", read_text(root / "proc/meminfo") or "", re.M)
    if told is not None:
        return 1024 * int(told[1])
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _of_the_groups(root: Path) -> Iterator[int]:
    """Yield what each control group of this process leaves, where it has a limit."""
    for group in control_groups(root, "memory"):
        for limit_file, used_file, files in _FILES:
            limit, used = read_text(group / limit_file), read_text(group / used_file)
            # A group without a limit says "max", or a number beyond all memory.
            if limit is not None and limit.isdigit() and used is not None:
                told = re.findall(files, read_text(group / "memory.stat") or "", re.M)
                yield int(limit) - int(used) + sum(map(int, told))
