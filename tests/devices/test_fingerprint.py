"""What a fingerprint holds, on this machine and on machines made of files."""

from __future__ import annotations

import dataclasses
import json
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from latbench import devices
from latbench.devices.host import HostFacts, host_facts
from latbench.errors import ArtefactError, UnavailableError, UsageError

MACHINE_ID = "0123456789abcdef0123456789abcdef"
X86 = {
    "proc/cpuinfo": "".join(
        f"""\
processor\t: {processor}
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 85
model name\t: Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz
stepping\t: 4
microcode\t: 0x2006e05
physical id\t: {processor // 4}
core id\t\t: {processor % 2}
cpu cores\t: 2
flags\t\t: fpu sse4_2 avx avx2 fma f16c avx512f avx512_vnni amx_int8 smep sme hypervisor
power management:

"""
        for processor in range(8)
    ),
    "proc/meminfo": "MemTotal:       16000000 kB\nMemFree:         1000000 kB\n",
    "proc/sys/kernel/osrelease": "6.1.0-13-amd64\n",
    "sys/class/dmi/id/sys_vendor": "QEMU\n",
    "etc/machine-id": f"{MACHINE_ID}\n",
}
AARCH64 = {
    # A Jetson AGX Orin: no model name, and a last block that is about the board.
    "proc/cpuinfo": "".join(
        f"""\
processor\t: {processor}
BogoMIPS\t: 62.50
Features\t: fp asimd evtstrm aes crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc asimddp paca
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd42
CPU revision\t: 1

"""
        for processor in range(4)
    )
    + "Hardware\t: a board\nRevision\t: 0000\n",
    "proc/meminfo": "MemTotal:       31299392 kB\n",
    "proc/sys/kernel/osrelease": "5.15.148-tegra\n",
    "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
    "proc/device-tree/serial-number": "1420000000001\0",
    "etc/machine-id": f"{MACHINE_ID}\n",
    **{
        f"sys/devices/system/cpu/cpu{processor}/topology/{entry}": text
        for processor in range(4)
        for entry, text in (
            ("physical_package_id", f"{processor // 2}\n"),
            ("core_id", f"{processor % 2}\n"),
            ("core_cpus_list", f"{processor}\n"),
        )
    },
    **{
        f"sys/devices/system/cpu/cpu0/cache/index{index}/{entry}": text
        for index, (level, kind, size) in enumerate(
            [
                ("1", "Data", "64K"),
                ("1", "Instruction", "64K"),
                ("2", "Unified", "256K"),
                ("3", "Unified", "2M"),
            ]
        )
        for entry, text in (("level", level), ("type", kind), ("size", size))
    },
}


def tree(root: Path, files: dict[str, str]) -> Path:
    """Write a file tree and return its root."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def without(files: dict[str, str], *names: str) -> dict[str, str]:
    return {name: text for name, text in files.items() if name not in names}


def driver(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put an ``nvidia-smi`` in front of all programs; ``$1`` is the query."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.fixture
def no_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide any ``nvidia-smi`` of this machine."""
    empty = tmp_path / "no-programs"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))


def test_this_machine_is_the_same_twice() -> None:
    """Two looks at one machine give one fingerprint."""
    assert devices.cpu() == devices.cpu()


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="reads Linux files")
def test_this_machine_tells_what_it_is() -> None:
    """On Linux the processor has cores, memory and a kernel."""
    host = devices.cpu().host
    assert host.logical_cores
    assert host.memory_bytes is not None
    assert host.memory_bytes > 2**28
    assert host.kernel == platform.release()
    if host.physical_cores is not None:
        assert 0 < host.physical_cores <= host.logical_cores


def test_a_fingerprint_survives_json(tmp_path: Path) -> None:
    """What is stored with a measurement reads back equal."""
    for fingerprint in (devices.cpu(), devices.cpu(tree(tmp_path, AARCH64))):
        text = json.dumps(fingerprint.to_dict())
        assert devices.Fingerprint.from_dict(json.loads(text)) == fingerprint


def test_a_fingerprint_with_a_strange_field_is_refused() -> None:
    """A fingerprint of another version is not read halfway."""
    data = devices.cpu().to_dict()
    with pytest.raises(ArtefactError, match="colour"):
        devices.Fingerprint.from_dict({**data, "colour": "red"})
    with pytest.raises(ArtefactError, match="host"):
        devices.Fingerprint.from_dict({key: data[key] for key in data if key != "host"})


def test_a_fingerprint_says_neither_whose_nor_where(tmp_path: Path) -> None:
    """Neither host name nor machine id, serial number or path can be read in it."""
    host = platform.node()
    stored = json.dumps(devices.cpu().to_dict())
    assert not host or not re.search(rf"\b{re.escape(host)}\b", stored)
    named = {**AARCH64, "etc/hostname": "build-host\n", "proc/sys/kernel/hostname": "build-host\n"}
    stored = json.dumps(devices.cpu(tree(tmp_path, named)).to_dict())
    for secret in ("build-host", MACHINE_ID, "1420000000001", str(tmp_path)):
        assert secret not in stored


def test_x86_facts_come_from_cpuinfo(tmp_path: Path) -> None:
    """Without topology files, cores and sockets are counted from /proc/cpuinfo."""
    host = host_facts(tree(tmp_path, X86))
    assert host.model_name == "Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz"
    assert (host.vendor, host.family, host.model, host.stepping, host.microcode) == (
        "GenuineIntel",
        "6",
        "85",
        "4",
        "0x2006e05",
    )
    assert (host.logical_cores, host.physical_cores, host.sockets) == (8, 4, 2)
    assert host.memory_bytes == 16000000 * 1024
    assert host.hypervisor == "QEMU"
    assert host.kernel == "6.1.0-13-amd64"


def test_x86_memory_encryption_is_no_matrix_extension(tmp_path: Path) -> None:
    """``sme`` and ``smep`` of x86 are not the ``sme`` of Arm."""
    assert host_facts(tree(tmp_path, X86)).instruction_sets == (
        "amx_int8",
        "avx",
        "avx2",
        "avx512_vnni",
        "avx512f",
        "f16c",
        "fma",
        "sse4_2",
    )


def test_aarch64_facts_come_from_their_own_fields(tmp_path: Path) -> None:
    """Arm has other keys, no model name, and core numbers that repeat across clusters."""
    host = host_facts(tree(tmp_path, AARCH64))
    assert host.model_name == "ARM 0xd42"
    assert (host.vendor, host.family, host.model, host.stepping) == ("ARM", "8", "0xd42", "r0p1")
    assert (host.logical_cores, host.physical_cores, host.sockets) == (4, 4, 2)
    assert (host.l1d_bytes, host.l1i_bytes) == (65536, 65536)
    assert (host.l2_bytes, host.l3_bytes) == (262144, 2097152)
    assert host.instruction_sets == ("asimd", "asimddp", "asimdhp", "fphp")
    assert host.microcode is None
    assert host.hypervisor is None


def test_an_empty_system_is_all_unknown(tmp_path: Path) -> None:
    """Where no file tells anything every fact is None, and nothing raises."""
    host = host_facts(tmp_path)
    told = dataclasses.asdict(dataclasses.replace(host, libc=None))
    assert told.pop("instruction_sets") == ()
    assert set(told.values()) == {None}
    assert devices.cpu(tmp_path).instance.startswith("i1:")
    assert devices.board(tmp_path) is None


@pytest.mark.parametrize("files", [X86, AARCH64], ids=["x86", "aarch64"])
def test_each_missing_file_costs_only_its_own_facts(tmp_path: Path, files: dict[str, str]) -> None:
    """Any one file may be missing or garbage; what the others tell stays."""
    whole = host_facts(tree(tmp_path / "whole", files))
    for number, name in enumerate(files):
        absent = host_facts(tree(tmp_path / f"absent{number}", without(files, name)))
        garbage = host_facts(tree(tmp_path / f"garbage{number}", {**files, name: "\0\n::\n"}))
        for host in (absent, garbage):
            assert isinstance(host, HostFacts)
            if name != "proc/cpuinfo":
                assert host.model_name == whole.model_name


def test_a_machine_is_told_apart_by_its_machine_id(tmp_path: Path) -> None:
    """Equal hardware of two owners has two instances."""
    one = devices.cpu(tree(tmp_path / "one", X86))
    other = devices.cpu(tree(tmp_path / "other", {**X86, "etc/machine-id": "f" * 32}))
    assert one.instance != other.instance
    assert one.host == other.host


def test_boards_flashed_with_one_image_are_told_apart(tmp_path: Path) -> None:
    """Copied memory cards share the machine id, but each board has its serial number."""
    copy = {**AARCH64, "proc/device-tree/serial-number": "1420000000002\0"}
    assert (
        devices.cpu(tree(tmp_path / "one", AARCH64)).instance
        != devices.cpu(tree(tmp_path / "two", copy)).instance
    )


def test_an_update_leaves_a_machine_itself(tmp_path: Path) -> None:
    """Microcode, kernel and memory size may change without a new instance."""
    updated = {
        **X86,
        "proc/cpuinfo": X86["proc/cpuinfo"].replace("0x2006e05", "0x2007006"),
        "proc/sys/kernel/osrelease": "6.12.0\n",
        "proc/meminfo": "MemTotal: 15999000 kB\n",
    }
    before = devices.cpu(tree(tmp_path / "before", X86))
    after = devices.cpu(tree(tmp_path / "after", updated))
    assert before.instance == after.instance
    assert before.host != after.host


@pytest.mark.parametrize("machine_id", ["", "uninitialized\n", "localhost\n"])
def test_what_is_no_machine_id_is_not_used(tmp_path: Path, machine_id: str) -> None:
    """An unset machine id names no machine."""
    unset = tree(tmp_path / "unset", {**X86, "etc/machine-id": machine_id})
    absent = tree(tmp_path / "absent", without(X86, "etc/machine-id"))
    assert devices.cpu(unset).instance == devices.cpu(absent).instance


FIELDS = "name,uuid,memory.total,driver_version,power.limit,clocks.max.sm"


def test_each_card_has_its_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One row of the driver is one card, and its UUID is stored hashed only."""
    driver(
        tmp_path,
        monkeypatch,
        f"""case "$1" in --query-gpu={FIELDS},compute_cap,ecc.mode.current,mig.mode.current) ;;
        *) exit 6 ;; esac
        echo "Tesla V100-SXM2-16GB, GPU-aaaa, 16384, 550.54.15, 300.00, 1530, 7.0, Enabled, [N/A]"
        echo "Tesla V100-SXM2-16GB, GPU-bbbb, 16384, 550.54.15, 300.00, 1530, 7.0, Enabled, [N/A]"
        """,
    )
    found = devices.present(devices.profile("v100"))
    assert len({card.instance for card in found}) == len(found) == 2
    assert found == devices.present(devices.profile("v100"))
    assert devices.require("v100") == found[0]
    assert found[0].card == devices.CardFacts(
        memory_bytes=16 * 2**30,
        driver="550.54.15",
        power_limit_w=300.0,
        max_sm_clock_mhz=1530.0,
        compute_capability="7.0",
        ecc="Enabled",
        mig=None,
    )
    stored = json.dumps(found[0].to_dict())
    assert "GPU-aaaa" not in stored
    assert devices.Fingerprint.from_dict(json.loads(stored)) == found[0]
    with pytest.raises(UnavailableError, match=r"no t4 here.*the GPU Tesla V100-SXM2-16GB"):
        devices.require("t4")


def test_a_card_keeps_its_instance_in_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The UUID alone names a card."""
    driver(tmp_path, monkeypatch, 'echo "Tesla T4, GPU-cccc, 15360, 550.54.15, 70, 1590"')
    here, _ = devices.cards(tree(tmp_path / "one", X86))
    there, _ = devices.cards(tree(tmp_path / "other", AARCH64))
    assert here[0].instance == there[0].instance


def test_an_old_driver_is_asked_for_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that refuses an unknown field is asked again for those it has always known."""
    driver(
        tmp_path,
        monkeypatch,
        """case "$1" in *compute_cap*) echo 'Field "compute_cap" is not valid.'; exit 2 ;; esac
        echo "Tesla T4, [N/A], [Not Supported], 418.67, [N/A], many" """,
    )
    found, reason = devices.cards()
    assert reason is None
    assert [card.name for card in found] == ["Tesla T4"]
    card = found[0].card
    assert card is not None
    assert card.driver == "418.67"
    assert (card.memory_bytes, card.max_sm_clock_mhz, card.compute_capability) == (None,) * 3


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo 'NVIDIA-SMI has failed' ; exit 9", "nvidia-smi failed: NVIDIA-SMI has failed"),
        ("exit 0", "nvidia-smi lists no card"),
    ],
)
def test_a_driver_without_cards_gives_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, expected: str
) -> None:
    """A failing driver is no crash, and its own words reach the user."""
    driver(tmp_path, monkeypatch, script)
    assert devices.cards() == ([], expected)
    with pytest.raises(UnavailableError, match=re.escape(expected)):
        devices.require("v100")


def test_a_program_that_does_not_start_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program of another architecture is not taken for one that is missing."""
    driver(tmp_path, monkeypatch, "")
    (tmp_path / "nvidia-smi").write_bytes(b"\x7fELF nothing to run")
    found, reason = devices.cards()
    assert found == []
    assert reason is not None
    assert reason.startswith("nvidia-smi does not start")


@pytest.mark.usefixtures("no_driver")
def test_a_device_that_is_not_here_names_the_two_ways_on() -> None:
    """The message says what was looked for, what is here, and where to go from there."""
    with pytest.raises(UnavailableError) as caught:
        devices.require("v100")
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "no v100 here",
        r"\bV100",
        devices.cpu().name,
        "no NVIDIA GPU (nvidia-smi is not installed)",
        "Run latbench on a machine that has a v100",
        "--executor ray://HOST:PORT",
    ):
        assert part in message


@pytest.mark.usefixtures("no_driver")
def test_the_processor_is_always_here() -> None:
    """The device ``cpu`` is this machine's processor, whatever it is."""
    assert devices.require("cpu") == devices.cpu()
    assert devices.present(devices.profile("h200")) == []


def test_an_unknown_device_cannot_be_required() -> None:
    """A name without profile is a usage error, not a missing device."""
    with pytest.raises(UsageError, match="no device 'v10'"):
        devices.require("v10")


@pytest.mark.usefixtures("no_driver")
def test_a_board_is_known_by_its_device_tree(tmp_path: Path) -> None:
    """A Jetson is found by the name of its board, and is another instance than its processor."""
    root = tree(tmp_path, AARCH64)
    board = devices.require("jetson-orin", root)
    assert board.kind == "soc"
    assert board.name == "NVIDIA Jetson AGX Orin Developer Kit"
    assert board.instance != devices.require("cpu", root).instance
    with pytest.raises(UnavailableError, match="the board NVIDIA Jetson AGX Orin Developer Kit"):
        devices.require("jetson-xavier", root)


def test_importing_devices_is_light() -> None:
    """Neither a runtime nor the array libraries are loaded to know the devices."""
    heavy = ("torch", "onnx", "onnxruntime", "pandas", "sqlalchemy", "numpy")
    code = f"import sys, latbench.devices; print([m for m in {heavy} if m in sys.modules])"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == "[]"
