"""One worker process as its parent sees it: started, watched, and ended whatever it does."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from latbench.devices import showing_only
from latbench.errors import UnavailableError
from latbench.profiling.channel import Channel, GarbageError, Message, checked
from latbench.profiling.memory import available_bytes
from latbench.profiling.provenance import provenance
from latbench.runtimes.runtime import is_processor
from latbench.target import Target
from latbench.units import format_bytes

# Without the second statement Python would look for modules in the current folder before all
# others, whatever lies there.
_PROGRAM = """
import sys
sys.path[:] = filter(None, sys.path)
from latbench.profiling.worker import main
main()
"""
KILLED = "its process was killed by SIGKILL"
"""What became of a worker that somebody else killed: what we stop ourselves has other words."""

_LAST_WORDS_BYTES = 4096
_TO_END_S = 10.0
_LOOK_EVERY_S = 0.25
_SHARE_OF_AVAILABLE = 0.75


@dataclass(frozen=True)
class Limits:
    """What a worker process may take before it is stopped.

    Attributes:
        timeout_s: seconds for which it may report nothing.
        memory_bytes: its resident memory; None for three quarters of what is available on its
            machine when it starts.
    """

    timeout_s: float = 300.0
    memory_bytes: int | None = None


def run_child(
    request: Message,
    limits: Limits,
    report: Callable[[Message], None],
    environment: Mapping[str, str] = os.environ,
    import_path: Sequence[str] | None = None,
) -> str | None:
    """Give ``request`` to a worker process and call ``report`` for each of its messages.

    The first message, ``began``, says on what the worker runs.

    Args:
        request: see :func:`latbench.profiling.process.request`.
        limits: when to stop it.
        report: takes the messages.
        environment: variables that the worker gets, beside those that are set for it.
        import_path: where it finds modules; where this process does by default.

    Returns:
        None if the worker came to its end, else what became of it, in one line.

    Raises:
        UnavailableError: the runtime does not work on this machine, whatever it is to compile.
    """
    target = Target.from_dict(request["target"])
    jobs = {subject["job"] for subject in request["subjects"]}
    report({"type": "began", "provenance": provenance(target)})
    with (
        tempfile.TemporaryFile() as errors,
        _worker(_environment(target, environment, import_path or sys.path), errors) as (
            child,
            channel,
        ),
    ):
        watch = _Watch(child.pid, limits)
        try:
            channel.send(request, limits.timeout_s)
            while (message := watch.receive(channel)) is not None:
                checked(message, jobs)
                if message["type"] == "end":
                    return None
                if message["type"] == "unavailable":
                    raise UnavailableError(
                        f"the runtime {target.runtime} does not work here: {message['reason']}"
                    )
                report(message)
        except TimeoutError:
            return f"it reported nothing for {limits.timeout_s:g} s and was stopped"
        except _TooMuchMemoryError:
            limit = format_bytes(watch.memory_bytes)
            return f"it took more than its memory limit of {limit} and was stopped"
        except GarbageError as garbage:
            return f"it was stopped because it wrote to the channel of its reports: {garbage}"
        except BrokenPipeError:
            pass  # it died before it had read its task; the next line tells how
        return _end_of(child, errors)


class _TooMuchMemoryError(Exception):
    """The worker took more than its limit."""


class _Watch:
    """Receives from a worker, and looks at its memory while it waits."""

    def __init__(self, pid: int, limits: Limits) -> None:
        self._resident = Path(f"/proc/{pid}/statm")
        self._timeout_s = limits.timeout_s
        self.memory_bytes = limits.memory_bytes or int(_SHARE_OF_AVAILABLE * available_bytes())
        self._look_s = 0.0

    def receive(self, channel: Channel) -> Message | None:
        """Return the next message, or None once the worker has closed its end.

        Raises:
            TimeoutError: it reported nothing for too long.
            GarbageError: what came is no message.
            _TooMuchMemoryError: it takes too much.
        """
        deadline = time.monotonic() + self._timeout_s
        while True:
            self._look()
            left_s = deadline - time.monotonic()
            try:
                return channel.receive(max(0.001, min(_LOOK_EVERY_S, left_s)))
            except TimeoutError:
                if time.monotonic() >= deadline:
                    raise

    def _look(self) -> None:
        if time.monotonic() < self._look_s:
            return
        self._look_s = time.monotonic() + _LOOK_EVERY_S
        # Resident pages are the second figure; of a process that has ended there are none.
        pages = int(self._resident.read_text(encoding="ascii").split()[1])
        if pages * os.sysconf("SC_PAGE_SIZE") > self.memory_bytes:
            raise _TooMuchMemoryError


@contextlib.contextmanager
def _worker(
    environment: Mapping[str, str], errors: IO[bytes]
) -> Iterator[tuple[subprocess.Popen[bytes], Channel]]:
    ours, theirs = socket.socketpair()
    child = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        env=environment,
        # Ctrl-C is for us; the worker and all it started are stopped together below.
        start_new_session=True,
    )
    theirs.close()
    channel = Channel(ours)
    try:
        yield child, channel
    finally:
        channel.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _environment(
    target: Target, environment: Mapping[str, str], import_path: Sequence[str]
) -> dict[str, str]:
    """Return the worker's environment: the import path, the number of threads, and one card."""
    threads = str(target.threads)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    path = os.pathsep.join(entry for entry in import_path if entry)
    card = {} if is_processor(target.device) else showing_only(target.device, environment)
    return {**environment, **dict.fromkeys(names, threads), **card, "PYTHONPATH": path}


def _end_of(child: subprocess.Popen[bytes], errors: IO[bytes]) -> str:
    try:
        code = child.wait(_TO_END_S)
    except subprocess.TimeoutExpired:
        return f"its process hung up, did not end within {_TO_END_S:g} s and was stopped"
    if code < 0:
        return f"its process was killed by {signal.Signals(-code).name}"
    errors.seek(max(0, errors.seek(0, os.SEEK_END) - _LAST_WORDS_BYTES))
    lines = errors.read().decode(errors="replace").strip().splitlines()
    last = f": {lines[-1]}" if lines else ""
    return f"its process ended with exit code {code}{last}"
