"""One at a time on a device: between processes, and whatever becomes of who holds the lock."""

from __future__ import annotations

import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

import latbench
from latbench.errors import UnavailableError
from latbench.profiling import device_lock as module
from latbench.profiling.device_lock import device_lock

ROOT = Path(latbench.__file__).parents[1]
PATIENCE_S = 30.0

HOLDER = """
import sys, time
from latbench.profiling.device_lock import device_lock
with device_lock(sys.argv[1], print):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def instance() -> Iterator[str]:
    """The id of an instance that no other test locks."""
    name = f"i1:{uuid.uuid4().hex}"
    yield name
    lock_of(name).unlink(missing_ok=True)


def lock_of(instance: str) -> Path:
    return module._folder() / f"{instance.replace(':', '-')}.lock"


@pytest.fixture
def holder(instance: str) -> Iterator[subprocess.Popen[str]]:
    """Another process, which holds the lock until its stdin is closed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, instance],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


class Waiting(threading.Thread):
    """Takes the lock, and notes when it has it and what it was told."""

    def __init__(self, instance: str) -> None:
        super().__init__(daemon=True)
        self.instance = instance
        self.said: list[str] = []
        self.told = threading.Event()
        self.has_it = threading.Event()

    def run(self) -> None:
        with device_lock(self.instance, self.say):
            self.has_it.set()

    def say(self, text: str) -> None:
        self.said.append(text)
        self.told.set()


def test_who_comes_second_waits_and_says_so(instance: str, holder: subprocess.Popen[str]) -> None:
    """It has the lock once the first is done, and said what it waits for once."""
    waiting = Waiting(instance)
    waiting.start()
    assert waiting.told.wait(PATIENCE_S)
    assert not waiting.has_it.is_set()
    holder.communicate()
    assert waiting.has_it.wait(PATIENCE_S)
    assert waiting.said == ["waiting for the device: another latbench is timing on it"]


def test_the_lock_of_a_process_that_was_killed_is_free(
    instance: str, holder: subprocess.Popen[str]
) -> None:
    """Nothing needs to be cleared away by hand."""
    waiting = Waiting(instance)
    waiting.start()
    holder.kill()
    assert waiting.has_it.wait(PATIENCE_S)


def test_devices_have_locks_of_their_own(instance: str, holder: subprocess.Popen[str]) -> None:
    """Another device is free at once, and a free one is taken without a word."""
    waiting = Waiting(f"{instance}x")
    waiting.start()
    assert waiting.has_it.wait(PATIENCE_S)
    waiting.join(PATIENCE_S)
    assert waiting.said == []
    lock_of(f"{instance}x").unlink()


def test_a_lock_that_was_cleared_away_keeps_nobody_apart_from_the_others(
    instance: str, holder: subprocess.Popen[str]
) -> None:
    """Who waited for a removed file takes the one that others would take."""
    waiting = Waiting(instance)
    waiting.start()
    assert waiting.told.wait(PATIENCE_S)
    lock_of(instance).unlink()
    with device_lock(instance, print):
        holder.communicate()
        waiting.has_it.wait(0.2)
        assert not waiting.has_it.is_set()
    assert waiting.has_it.wait(PATIENCE_S)


def test_a_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link in place of the folder is not followed."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").symlink_to(tmp_path / "theirs")
    monkeypatch.setattr(module, "Path", lambda text: tmp_path / "ours")
    with pytest.raises(UnavailableError, match="is not a folder of yours; remove it"):
        module._folder()
