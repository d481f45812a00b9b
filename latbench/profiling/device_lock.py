"""The lock of a device: whoever times on it holds it, so that nobody else times at once."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from latbench.errors import UnavailableError

_QUIET_S = 2.0


@contextlib.contextmanager
def device_lock(instance: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a device instance on this machine; wait for it as long as it takes.

    It is a lock of the operating system's, so that of a process which has died is free.

    Args:
        instance: the id of the instance.
        say: told once, from another thread, when it has waited for two seconds.

    Raises:
        UnavailableError: the folder of the locks is somebody else's.
    """
    held = _acquire(_folder() / f"{instance.replace(':', '-')}.lock", say)
    try:
        yield
    finally:
        os.close(held)


def _acquire(path: Path, say: Callable[[str], None]) -> int:
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            _lock(file, say)
        except BaseException:
            os.close(file)
            raise
        if _is(file, path):
            return file
        os.close(file)  # somebody cleared it away in the meantime: others would lock a new one


def _lock(file: int, say: Callable[[str], None]) -> None:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    told = threading.Timer(
        _QUIET_S, say, ["waiting for the device: another latbench is timing on it"]
    )
    told.daemon = True
    told.start()
    try:
        # To look again and again would disturb who is timing, and never get a turn.
        fcntl.flock(file, fcntl.LOCK_EX)
    finally:
        told.cancel()


def _is(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _folder() -> Path:
    # Neither $TMPDIR nor $XDG_RUNTIME_DIR: a daemon's and a shell's differ, and would not meet.
    folder = Path(f"/tmp/latbench-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise UnavailableError(
            f"{folder}, where the locks of devices are kept, is not a folder of yours; remove it"
        )
    return folder
