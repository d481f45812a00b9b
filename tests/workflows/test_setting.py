"""A setting is what was asked for; a target is what that means here, or in a store."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import latbench
from latbench.errors import MissingMeasurementsError, PluginError, UnavailableError, UsageError
from latbench.store import (
    ExportedTable,
    InstanceRow,
    JobRow,
    MeasurementRow,
    Store,
    SubjectRow,
    WorkloadRow,
)
from latbench.target import PRECISIONS, Target
from latbench.workflows.setting import Setting, choice_of

SPACE: dict[str, Any] = {"name": "tiny", "options": {}}
SPACE_ID = '{"name":"tiny","options":{}}'
Add = Callable[..., Target]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    with Store.open(f"sqlite:///{tmp_path / 'latbench.db'}") as opened:
        yield opened


@pytest.fixture
def add(store: Store) -> Add:
    """A function that adds a measured network on a target, each later than the last."""
    clock = itertools.count(1_000_000)

    def add(kind: str = "network", status: str = "ok", **changes: Any) -> Target:
        target = replace(Target("cpu", "onnxruntime", "1.0"), **changes)
        store.add_instance(InstanceRow("i1:x", target.device))
        store.add_target(target)
        store.add_workload(WorkloadRow("g1:a", "a", [], 1))
        store.add_subjects(
            [SubjectRow(SPACE_ID, "block" if kind == "block" else "network", "a", "g1:a")]
        )
        number = next(clock)
        job = store.add_job(JobRow(target.key, "i1:x", "g1:a", "p1"))
        if status == "failed":
            row = MeasurementRow(job, status, reason="it broke", created=number)
        else:
            row = MeasurementRow(job, status, None, 1.0, 0.9, 1.1, 0.1, created=number)
        store.add_measurement(row)
        return target

    return add


@given(st.sampled_from(["torch", "onnxruntime", "a-b"]), st.sampled_from([None, *PRECISIONS]))
def test_parse_reads_name_and_precision(name: str, precision: str | None) -> None:
    """NAME alone is fp32; NAME:PRECISION is what it says."""
    text = name if precision is None else f"{name}:{precision}"
    setting = Setting.parse(text)
    assert (setting.runtime, setting.precision) == (name, precision or "fp32")


@pytest.mark.parametrize("text", ["", ":fp16", "torch:", "torch:fp17", "torch:fp16:fp16"])
def test_parse_refuses_what_is_neither(text: str) -> None:
    """No name, or no precision after the colon, is an error."""
    with pytest.raises(UsageError):
        Setting.parse(text)


@given(
    st.builds(
        Setting,
        st.sampled_from(["cpu", "v100"]),
        st.sampled_from(["torch", "onnxruntime"]),
        st.sampled_from(PRECISIONS),
        st.sampled_from([(), (("a", "1"),), (("a", "1"), ("b", "x"))]),
        st.integers(1, 64),
        st.integers(1, 64),
    )
)
def test_arguments_say_the_setting(setting: Setting) -> None:
    """The words for the command line, read again, give the same setting."""
    words = setting.arguments().split()
    given = list(zip(words[::2], words[1::2], strict=True))
    options = dict(given)
    assert (
        Setting.parse(
            options.get("--runtime"),
            device=options.get("--device", "cpu"),
            runtime_options=[
                (value.split("=")[0], value.split("=")[1])
                for option, value in given
                if option == "--runtime-option"
            ],
            batch=int(options.get("--batch", 1)),
            threads=int(options.get("--threads", 1)),
        )
        == setting
    )


def test_here_is_this_machine() -> None:
    """The default setting is the first runtime of this processor's profile, as installed."""
    target, instance = Setting().here()
    assert (target.device, target.runtime, target.precision) == ("cpu", "onnxruntime", "fp32")
    assert instance.device == "cpu"
    assert instance.id.startswith("i1:")


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        (Setting("v10"), UsageError),
        (Setting("v100"), UnavailableError),
        (Setting(runtime="onnxruntim"), PluginError),
        (Setting(runtime="torch", precision="int8"), UsageError),
        (Setting(runtime="torch", runtime_options=(("a", "1"),)), UsageError),
    ],
)
def test_here_refuses_what_is_not(setting: Setting, error: type[Exception]) -> None:
    """An unknown or absent device, runtime, precision or option is an error."""
    with pytest.raises(error):
        setting.here()


def test_a_processor_runtime_does_not_stand_in_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a GPU here, a runtime of the processor would measure the wrong thing: it is refused."""
    monkeypatch.setattr("latbench.devices.require", lambda name: None)
    with pytest.raises(UnavailableError, match="does not run on a device of the kind 'gpu'"):
        Setting("v100", runtime="onnxruntime").here()


def test_stored_takes_the_newest_version(store: Store, add: Add) -> None:
    """Of two versions of a runtime the one measured last counts."""
    add(runtime_version="2.0")
    newest = add(runtime_version="1.0")
    assert Setting().stored(store) == newest


def test_stored_prefers_the_runtime_of_the_profile(store: Store, add: Add) -> None:
    """Without a runtime the profile's order decides, as it does for measuring."""
    first = add(runtime="onnxruntime")
    second = add(runtime="torch")
    assert Setting().stored(store) == first
    assert Setting(runtime="torch").stored(store) == second


def test_stored_needs_no_device(store: Store, add: Add) -> None:
    """A device that is not here may have been measured elsewhere."""
    target = add(device="v100", runtime="tensorrt", precision="fp16")
    assert Setting("v100", precision="fp16").stored(store) == target


@pytest.mark.parametrize(
    "changes",
    [
        {"batch": 2},
        {"threads": 2},
        {"precision": "fp16"},
        {"options": (("a", "1"),)},
        {"device": "v100"},
        {"kind": "block"},
        {"status": "failed"},
    ],
)
def test_stored_never_pools(store: Store, add: Add, changes: dict[str, Any]) -> None:
    """What was measured otherwise is no match; the error names what would measure it."""
    add(**changes)
    with pytest.raises(MissingMeasurementsError, match="latbench profile --space tiny --networks"):
        Setting().stored(store, SPACE, "network")


def test_missing_says_what_is_there(store: Store, add: Add) -> None:
    """The error lists the targets that were measured."""
    target = add(batch=8)
    with pytest.raises(MissingMeasurementsError) as caught:
        Setting(runtime="torch", threads=2).stored(store)
    assert target.label in str(caught.value)
    assert "latbench profile --runtime torch --threads 2" in str(caught.value)


def test_missing_names_the_space_with_its_options(store: Store) -> None:
    """What measures a space with options of its own says them, and only them."""
    space = latbench.space("mobilenet", image_size=96)
    with pytest.raises(MissingMeasurementsError) as caught:
        Setting().stored(store, space.spec, "block")
    assert str(caught.value).endswith(
        "Measure: latbench profile --space mobilenet --space-option image_size=96 --blocks"
    )


@pytest.fixture
def handed_on(store: Store, tmp_path: Path) -> Callable[[], ExportedTable]:
    """A function that exports the store and opens the file."""

    def handed_on() -> ExportedTable:
        store.export(tmp_path / "data.parquet")
        return ExportedTable.open(tmp_path / "data.parquet")

    return handed_on


def test_of_a_table_the_only_device_is_meant(
    store: Store, add: Add, handed_on: Callable[[], ExportedTable]
) -> None:
    """Unless one was asked for; a store to measure into keeps to this machine's processor."""
    target = add(device="nobodys-board", runtime="its-own")
    assert Setting(any_device=True).stored(handed_on()) == target
    assert Setting("nobodys-board").stored(handed_on()) == target
    for setting, where in ((Setting(), handed_on()), (Setting(any_device=True), store)):
        with pytest.raises(MissingMeasurementsError, match="nobodys-board"):
            setting.stored(where)


def test_of_two_devices_none_is_meant(add: Add, handed_on: Callable[[], ExportedTable]) -> None:
    """A table of several devices is asked for one of them, which the error lists."""
    targets = [add(device="v100"), add(device="t4")]
    with pytest.raises(MissingMeasurementsError) as caught:
        Setting(any_device=True).stored(handed_on())
    assert all(target.label in str(caught.value) for target in targets)
    assert "latbench profile" not in str(caught.value)
    assert Setting("t4").stored(handed_on()) == targets[1]


def test_all_that_match_are_told(store: Store, add: Add) -> None:
    """The one meant comes first."""
    others = [add(runtime="torch"), add(runtime_version="0.9")]
    newest = add(runtime_version="2.0")
    found = Setting().all_stored(store)
    assert found == [newest, others[1], others[0]]
    (sentence,) = choice_of(found)
    assert sentence.startswith(f"taken: what was measured on {newest.label}; there is also ")
    assert all(other.label in sentence for other in others)
    assert choice_of([newest]) == []


def test_missing_names_the_spaces_that_are_there(store: Store, add: Add) -> None:
    """Forgotten options of a space are seen at once."""
    add()
    with pytest.raises(MissingMeasurementsError, match="It holds those of: --space tiny"):
        Setting().stored(store, {"name": "tiny", "options": {"image_size": 96}}, "network")
