"""What device profiles promise, for the bundled ones and for those of other packages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from latbench import devices
from latbench.devices.catalogue import Precision
from latbench.errors import PluginError, UsageError
from latbench.target import PRECISIONS

BUNDLED = (
    "a100",
    "cpu",
    "drive-agx-xavier",
    "h100",
    "h200",
    "jetson-orin",
    "jetson-xavier",
    "rtx-4090",
    "t4",
    "v100",
)
RUNTIMES = {
    "onnxruntime",
    "onnxruntime-cuda",
    "onnxruntime-tensorrt",
    "openvino",
    "tensorrt",
    "torch",
    "torch-compile",
}
MINIMAL = """\
name: toy
title: A toy
kind: cpu
memory_gb: {value: 4, source: paper}
bandwidth_gb_s: {value: null, note: unknown}
peaks: {}
precisions: [fp32]
reported_names: [toy]
runtimes: [onnxruntime]
sources:
  paper: {title: The toy, url: "https://example.org/toy"}
"""


def write(folder: Path, text: str, name: str = "toy") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str) -> str:
    path = write(folder, text)
    with pytest.raises(UsageError) as caught:
        devices.profile_from_file(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


def test_the_bundled_devices_are_those_documented() -> None:
    """A bare installation knows these devices."""
    assert set(BUNDLED) <= set(devices.profiles())


@pytest.mark.parametrize("name", BUNDLED)
def test_every_bundled_figure_has_a_listed_source(name: str) -> None:
    """A value comes with title and address of a document; a null one says why it is null."""
    profile = devices.profile(name)
    for field, figure in profile.figures():
        if figure.value is None:
            assert figure.note, field
        else:
            assert figure.source is not None, field
            assert profile.sources[figure.source].url.startswith("https://"), field


@pytest.mark.parametrize("name", BUNDLED)
def test_no_bundled_source_is_unused(name: str) -> None:
    """Every listed document backs at least one figure."""
    profile = devices.profile(name)
    assert {figure.source for _, figure in profile.figures()} - {None} == set(profile.sources)


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_profiles_use_the_words_of_the_project(name: str) -> None:
    """The name is the file's, and runtimes and precisions are known ones, without repeats."""
    profile = devices.profile(name)
    assert profile.name == name
    assert set(profile.runtimes) <= RUNTIMES
    assert len(set(profile.runtimes)) == len(profile.runtimes)
    assert set(profile.precisions) <= set(PRECISIONS)
    assert (profile.compute_capability is None) == (profile.kind == "cpu")


@pytest.mark.parametrize("name", BUNDLED)
def test_a_precision_pays_only_if_the_device_has_a_rate_for_it(name: str) -> None:
    """On NVIDIA's devices int8 and bf16 pay exactly where tensor cores run them."""
    profile = devices.profile(name)
    if profile.kind != "cpu":
        for precision in ("bf16", "int8"):
            rate = profile.peaks.get(precision)
            on_tensor_cores = rate is not None and rate.cores == "tensor"
            assert (precision in profile.precisions) == on_tensor_cores


def test_the_schema_knows_the_precisions_of_a_target() -> None:
    """Profiles and targets cannot drift apart in what a precision is called."""
    assert get_args(Precision) == PRECISIONS


def test_v100_neither_runs_int8_nor_new_tensorrt() -> None:
    """Volta has no INT8 tensor cores, and TensorRT 10.5 dropped it."""
    v100 = devices.profile("v100")
    assert v100.precisions == ("fp32", "fp16", "amp")
    assert v100.newest_tensorrt is not None
    assert v100.newest_tensorrt.value == "10.4"
    assert v100.default_runtime == "tensorrt"


def test_cpu_prefers_onnxruntime() -> None:
    """The shortest command line measures with ONNX Runtime."""
    assert devices.profile("cpu").runtimes[0] == "onnxruntime"


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ("Tesla V100-SXM2-16GB", "v100"),
        ("Tesla V100-PCIE-32GB", "v100"),
        ("Tesla V100S-PCIE-32GB", None),
        ("Tesla T4", "t4"),
        ("NVIDIA T400", None),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA H200 NVL", "h200"),
        ("NVIDIA GH200 480GB", None),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("NVIDIA Jetson AGX Orin Developer Kit", "jetson-orin"),
        ("NVIDIA Jetson Orin Nano Developer Kit", None),
        ("Jetson-AGX", "jetson-xavier"),
    ],
)
def test_a_reported_name_belongs_to_at_most_one_device(reported: str, expected: str | None) -> None:
    """Names as drivers and boards report them find their device and no other."""
    matching = [
        name
        for name, profile in devices.profiles().items()
        if profile.kind != "cpu" and profile.matches(reported)
    ]
    assert matching == ([] if expected is None else [expected])


def test_an_unknown_device_lists_the_known_and_the_nearest() -> None:
    """A typing error is answered with what was probably meant."""
    with pytest.raises(UsageError, match=r"no device 'v10'; known: a100, .*did you mean 'v100'\?"):
        devices.profile("v10")


def test_a_valid_file_is_read(tmp_path: Path) -> None:
    """The smallest profile has its figures and its default runtime."""
    profile = devices.profile_from_file(write(tmp_path, MINIMAL))
    assert profile.memory_gb.value == 4
    assert profile.default_runtime == "onnxruntime"


@pytest.mark.parametrize(
    ("change", "by", "expected"),
    [
        ("kind: cpu", "kind: gpx", r"kind: .*'gpx'"),
        ("value: 4,", "value: four,", r"memory_gb\.value: .*'four'"),
        ("value: 4,", "value: -4,", r"memory_gb\.value: .*-4"),
        ("value: 4,", "value: true,", r"memory_gb\.value: .*True"),
        ("value: 4, source: paper", "value: 4", r"memory_gb: .*needs the key of its source"),
        ("source: paper", "source: other", r"memory_gb names the source 'other'"),
        ("value: null, note: unknown", "value: null", r"bandwidth_gb_s: .*needs a note"),
        ("title: A toy\n", "", r"title: Field required"),
        ("title: A toy", "titel: A toy\ntitle: A toy", r"titel: Extra inputs"),
        ("title: A toy", "title: 2020-01-01", r"title: .*valid string"),
        ("title: A toy", "title: 2020-13-45", r"not valid YAML: month"),
        ("runtimes: [onnxruntime]", "runtimes: []", r"runtimes: .*at least 1"),
        ("runtimes: [onnxruntime]", "runtimes: onnxruntime", r"runtimes: .*tuple"),
        ("precisions: [fp32]", "precisions: [fp31]", r"precisions\.0: .*'fp31'"),
        ("reported_names: [toy]", "reported_names: ['(']", r"reported_names: .*no regular expr"),
        ("https://", "file://", r"sources\.paper\.url: .*'file://"),
        ("name: toy", "name: other", r"name is 'other'; name and file must agree \('toy'\)"),
        ("name: toy", "name: [unclosed", r"not valid YAML: .*line"),
        ("name: toy", 'name: "\x00"', r"not valid YAML: "),
    ],
)
def test_a_wrong_field_is_named_with_its_value(
    tmp_path: Path, change: str, by: str, expected: str
) -> None:
    """One line names the file, the field and what was given."""
    assert change in MINIMAL
    assert re.search(expected, refusal(tmp_path, MINIMAL.replace(change, by)))


@pytest.mark.parametrize("length", range(0, len(MINIMAL) - 10, 7))
def test_a_truncated_file_is_refused(tmp_path: Path, length: int) -> None:
    """Wherever a copy broke off, the file is refused and never half read."""
    refusal(tmp_path, MINIMAL[:length])


@pytest.mark.parametrize("text", ["", "# only a comment\n", "[]", "3", "just words", "null"])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    """An empty file and a list are told apart from a profile before its fields are looked at."""
    assert "a device profile is a mapping" in refusal(tmp_path, text)


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system ['touch ran']", "!!python/name:os.system", "!other x"]
)
def test_a_tag_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tag: str) -> None:
    """YAML that asks for Python objects is refused without building them."""
    monkeypatch.chdir(tmp_path)
    assert "could not determine a constructor" in refusal(tmp_path, f"name: {tag}\n")
    assert not (tmp_path / "ran").exists()


def test_endless_nesting_is_refused(tmp_path: Path) -> None:
    """A file that nests deeper than Python recurses is an error like any other."""
    assert "not valid YAML" in refusal(tmp_path, "[" * 100_000)


def test_aliases_do_not_explode_in_the_message(tmp_path: Path) -> None:
    """A value of exponential size is shown cut short."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, after in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{after}: &{after} [{','.join(f'*{before}' for _ in range(9))}]")
    assert len(refusal(tmp_path, "\n".join([*lines, MINIMAL.replace("toy\n", "*i\n", 1)]))) < 1000


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    """A path that leads nowhere is the user's to mend."""
    with pytest.raises(UsageError, match="cannot be read"):
        devices.profile_from_file(tmp_path / "toy.yaml")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """A binary file under the name of a profile is an error of the file."""
    (tmp_path / "toy.yaml").write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(UsageError, match="cannot be read as text"):
        devices.profile_from_file(tmp_path / "toy.yaml")


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, value: str, name: str = "toy") -> None:
    """Install a distribution in ``folder`` that announces one device."""
    info = folder / "toy_devices-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-devices\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[latbench.devices]\n{name} = {value}\n")
    monkeypatch.syspath_prepend(str(folder))


def test_an_installed_package_adds_a_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that holds the file is found by the entry point named after the device."""
    package = tmp_path / "toy_devices_package"
    package.mkdir()
    (package / "__init__.py").touch()
    write(package, MINIMAL)
    install(tmp_path, monkeypatch, "toy_devices_package")
    assert devices.profile("toy").title == "A toy"
    assert devices.profiles()["toy"] == devices.profile("toy")


def test_a_single_module_may_stand_beside_its_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entry point may name a plain module; the file lies in the same folder."""
    (tmp_path / "toy_devices_module.py").touch()
    write(tmp_path, MINIMAL)
    install(tmp_path, monkeypatch, "toy_devices_module")
    assert devices.profile("toy").name == "toy"


def test_a_bundled_device_wins_over_an_installed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package cannot change what a bundled name means."""
    install(tmp_path, monkeypatch, "no_such_module", name="v100")
    assert devices.profile("v100").title.startswith("NVIDIA V100")
    assert devices.profiles()["v100"] == devices.profile("v100")


def test_a_broken_package_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left out of the listing with a warning, and is an error when it is asked for."""
    install(tmp_path, monkeypatch, "no_such_module")
    with pytest.warns(RuntimeWarning, match=r"'toy'.*does not load"):
        found = devices.profiles()
    assert "v100" in found
    assert "toy" not in found
    with pytest.raises(PluginError, match=r"'toy'.*does not load"):
        devices.profile("toy")


def test_a_package_without_the_file_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that forgot its data is told which file is missing."""
    (tmp_path / "toy_devices_forgetful.py").touch()
    install(tmp_path, monkeypatch, "toy_devices_forgetful")
    with pytest.raises(UsageError, match=r"toy\.yaml: cannot be read"):
        devices.profile("toy")
