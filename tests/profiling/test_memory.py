"""Memory that is there, from file trees made for the test."""

from __future__ import annotations

from pathlib import Path

import pytest

from latbench.profiling.memory import available_bytes

V2 = "sys/fs/cgroup/box"
V1 = "sys/fs/cgroup/memory/box"


def machine(root: Path, **files: str) -> Path:
    """Write a machine with 8000 kB available, and further files."""
    tree = {"proc/meminfo": "MemTotal: 16000 kB\nMemAvailable:    8000 kB\n", **files}
    for name, text in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    return root


def test_the_machines_own_is_told(tmp_path: Path) -> None:
    """Without a container it is what the kernel says is available."""
    assert available_bytes(machine(tmp_path)) == 8000 * 1024


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({f"{V2}/memory.max": "5000", f"{V2}/memory.current": "2000"}, 3000),
        (
            {
                f"{V2}/memory.max": "5000",
                f"{V2}/memory.current": "4000",
                f"{V2}/memory.stat": "anon 1\ninactive_file 700\nactive_file 300\n",
            },
            2000,
        ),
        ({f"{V2}/memory.max": "max", f"{V2}/memory.current": "2000"}, 8000 * 1024),
        ({f"{V2}/memory.max": "5000", f"{V2}/memory.current": "6000"}, 0),
        ({"sys/fs/cgroup/memory.max": "900", "sys/fs/cgroup/memory.current": "100"}, 800),
    ],
)
def test_a_containers_limit_counts(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    """Less what is used, but for files that the kernel takes back; of groups above it, too."""
    root = machine(tmp_path, **{"proc/self/cgroup": "0::/box\n"}, **files)
    assert available_bytes(root) == expected


def test_the_older_control_groups_count(tmp_path: Path) -> None:
    """Their files have other names, and no limit is a number beyond all memory."""
    files = {
        "proc/self/cgroup": "4:memory:/box\n1:cpu:/\n",
        f"{V1}/memory.limit_in_bytes": "5000",
        f"{V1}/memory.usage_in_bytes": "4500",
        f"{V1}/memory.stat": "active_file 9\ntotal_inactive_file 200\ntotal_active_file 100\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "1000000",
    }
    assert available_bytes(machine(tmp_path, **files)) == 800
