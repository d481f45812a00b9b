"""The device profile is complete, and finds the board by what its processor reports."""

from __future__ import annotations

from pathlib import Path

from latbench import devices

import latbench_example


def test_the_profile_loads() -> None:
    """The file is well-formed: every figure names its source."""
    folder = Path(latbench_example.__file__).parent
    profile = devices.profile_from_file(folder / "raspberry-pi-5.yaml")
    assert profile.matches("ARM 0xd0b")
    assert not profile.matches("ARM 0xd0c")


def test_the_device_is_announced() -> None:
    """Installed, it is a device as those of latbench are."""
    assert devices.profile("raspberry-pi-5").default_runtime == "onnxruntime"
