"""The facts of a machine and its processor, from ``/proc`` and ``/sys`` of Linux.

Every reader takes the root of the file tree, so that it can be tested on any machine. What a
system does not tell is None; nothing here raises because a file is missing.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_BYTES_PER_UNIT = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
# Those that decide which kernels an inference library picks; names as in /proc/cpuinfo.
# Kept apart because x86 calls its memory encryption "sme", as Arm calls its matrix extension.
_X86_SETS = re.compile(r"sse4_2|avx|avx2|fma|f16c|avx_vnni\w*|avx512\w+|avx10\w*|amx_\w+")
_ARM_SETS = re.compile(r"asimd|asimdhp|asimddp|asimdfhm|fphp|i8mm|bf16|sve\w*|sme\w*")
# Arm gives its implementer as a number: Arm ARM, MIDR_EL1, field Implementer.
_IMPLEMENTERS = {
    "0x41": "ARM",
    "0x46": "Fujitsu",
    "0x48": "HiSilicon",
    "0x4e": "NVIDIA",
    "0x51": "Qualcomm",
    "0x61": "Apple",
    "0xc0": "Ampere",
}


@dataclass(frozen=True)
class HostFacts:
    """A machine and its processor.

    Attributes:
        model_name: the processor as it calls itself; for Arm without a name, maker and part.
        vendor: its maker, such as ``GenuineIntel`` or ``ARM``.
        family: CPU family; for Arm the architecture, such as ``8``.
        model: CPU model number; for Arm the part, such as ``0xd42``.
        stepping: for Arm variant and revision, such as ``r0p1``.
        microcode: microcode revision.
        physical_cores: cores without their hardware threads.
        logical_cores: processors that the kernel runs on.
        sockets: processor packages.
        l1d_bytes: the first-level data cache that serves processor 0, as are the caches below.
        l1i_bytes: the first-level instruction cache.
        l2_bytes: the second-level cache.
        l3_bytes: the third-level cache.
        instruction_sets: those that matter for inference, sorted.
        memory_bytes: main memory that the kernel manages.
        hypervisor: what the machine runs on; None on bare metal or where nothing tells.
        kernel: kernel release.
        libc: name and version of the C library.
    """

    model_name: str | None
    vendor: str | None
    family: str | None
    model: str | None
    stepping: str | None
    microcode: str | None
    physical_cores: int | None
    logical_cores: int | None
    sockets: int | None
    l1d_bytes: int | None
    l1i_bytes: int | None
    l2_bytes: int | None
    l3_bytes: int | None
    instruction_sets: tuple[str, ...]
    memory_bytes: int | None
    hypervisor: str | None
    kernel: str | None
    libc: str | None


def host_facts(root: Path = Path("/")) -> HostFacts:
    """Return the facts of the machine whose file tree starts at ``root``."""
    processors = _processors(read_text(root / "proc/cpuinfo") or "")
    first = processors[0] if processors else {}
    flags, features = first.get("flags", "").split(), first.get("Features", "").split()
    sets = [*filter(_X86_SETS.fullmatch, flags), *filter(_ARM_SETS.fullmatch, features)]
    caches = _caches(root / "sys/devices/system/cpu/cpu0/cache")
    implementer = first.get("CPU implementer")
    vendor = first.get("vendor_id") or _IMPLEMENTERS.get(implementer or "", implementer)
    part = first.get("CPU part")
    variant, revision = first.get("CPU variant"), first.get("CPU revision")
    return HostFacts(
        model_name=first.get("model name") or (f"{vendor} {part}" if vendor and part else None),
        vendor=vendor,
        family=first.get("cpu family") or first.get("CPU architecture"),
        model=first.get("model") or part,
        stepping=first.get("stepping")
        or (f"r{variant.removeprefix('0x')}p{revision}" if variant and revision else None),
        microcode=first.get("microcode"),
        physical_cores=_physical_cores(root, processors),
        logical_cores=len(processors) or None,
        sockets=_distinct(_topology(root, "physical_package_id"))
        or _distinct(p["physical id"] for p in processors if "physical id" in p),
        l1d_bytes=caches.get("1 Data"),
        l1i_bytes=caches.get("1 Instruction"),
        l2_bytes=caches.get("2 Unified"),
        l3_bytes=caches.get("3 Unified"),
        instruction_sets=tuple(sorted(sets)),
        memory_bytes=_memory_bytes(root),
        hypervisor=_hypervisor(root, flags),
        kernel=read_text(root / "proc/sys/kernel/osrelease"),
        libc=" ".join(platform.libc_ver()).strip() or None,
    )


def read_text(path: Path) -> str | None:
    """Return the stripped text of a file, or None where there is none to be read."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # Strings of the device tree end in a zero byte.
    return text.replace("\0", " ").strip() or None


def _processors(cpuinfo: str) -> list[dict[str, str]]:
    """Return one mapping a logical processor; blocks without a number describe the board."""
    blocks = []
    for block in re.split(r"\n\s*\n", cpuinfo):
        pairs = (line.partition(":") for line in block.splitlines())
        blocks.append({key.strip(): value.strip() for key, _, value in pairs})
    return [block for block in blocks if block.get("processor", "").isdigit()]


def _topology(root: Path, entry: str) -> list[str]:
    files = (root / "sys/devices/system/cpu").glob(f"cpu[0-9]*/topology/{entry}")
    return [text for text in map(read_text, files) if text is not None]


def _distinct(values: Iterable[str]) -> int | None:
    return len(set(values)) or None


def _physical_cores(root: Path, processors: list[dict[str, str]]) -> int | None:
    # Core numbers repeat across the clusters of an Arm processor; lists of siblings do not.
    siblings = _topology(root, "core_cpus_list") or _topology(root, "thread_siblings_list")
    return _distinct(siblings) or _distinct(
        f"{p.get('physical id')} {p['core id']}" for p in processors if "core id" in p
    )


def _caches(folder: Path) -> dict[str, int]:
    """Return the bytes of each cache by level and type, such as ``1 Data``."""
    found = {}
    for index in folder.glob("index[0-9]*"):
        size = re.fullmatch(r"(\d+)([KMG]?)", read_text(index / "size") or "")
        if size is not None:
            key = f"{read_text(index / 'level')} {read_text(index / 'type')}"
            found[key] = int(size[1]) * _BYTES_PER_UNIT[size[2]]
    return found


def _memory_bytes(root: Path) -> int | None:
    total = re.search(r"^MemTotal:\s*(\d+) kB", read_text(root / "proc/meminfo") or "", re.M)
    return int(total[1]) * 1024 if total else None


def _hypervisor(root: Path, flags: list[str]) -> str | None:
    named = read_text(root / "sys/hypervisor/type") or read_text(
        root / "proc/device-tree/hypervisor/compatible"
    )
    if named is not None or "hypervisor" not in flags:
        return named
    return read_text(root / "sys/class/dmi/id/sys_vendor") or "unknown"
