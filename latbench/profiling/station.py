"""The far end of a task that is timed on another machine: files in, messages out.

It knows nothing of what carries its calls; :mod:`latbench.profiling.ray_executor` puts it into an
actor.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path
from queue import Empty, SimpleQueue

from latbench.errors import UnavailableError
from latbench.profiling.channel import Message
from latbench.profiling.child import Limits, run_child
from latbench.profiling.device_lock import device_lock

_KEPT_S = 30 * 86400.0
# What carries the calls sets these for processes of its own.
_FOREIGN = "RAY_"
_CARDS = "CUDA_VISIBLE_DEVICES"


class CopyError(Exception):
    """A file did not arrive as it was sent."""


class Station:
    """Runs one task on this machine in the same worker process as a local sweep does.

    Models are kept in a folder by the hash of their content, so that none is sent twice.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Keep models in ``folder``; those that nobody asked for in a month are removed."""
        show_cards_as_started()
        self._folder = folder or _cache()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._said: SimpleQueue[Message] = SimpleQueue()
        for path in self._folder.iterdir():
            if path.stat().st_mtime < time.time() - _KEPT_S:
                path.unlink(missing_ok=True)

    def missing(self, names: Collection[str]) -> list[str]:
        """Return which of these models are not here."""
        here = [self._folder / name for name in names if (self._folder / name).exists()]
        for path in here:
            os.utime(path)
        return [name for name in names if self._folder / name not in here]

    def keep(self, name: str, model: bytes) -> None:
        """Keep a model whose name is its hash and ``.onnx``.

        Raises:
            CopyError: its content is not what its name says.
            OSError: it cannot be written.
        """
        if name != f"{hashlib.sha256(model).hexdigest()}.onnx":
            raise CopyError(f"the model {name} did not arrive as it was sent")
        partial = self._folder / f"{name}.{os.getpid()}"
        partial.write_bytes(model)
        partial.replace(self._folder / name)

    def start(self, request: Message, limits: Message, instance: str) -> None:
        """Begin the task once the device is free; :meth:`messages` tells what becomes of it.

        Args:
            request: see :func:`latbench.profiling.process.request`; its folder is filled in here.
            limits: the fields of :class:`Limits`.
            instance: id of the device instance.
        """
        arguments = ({**request, "folder": str(self._folder)}, Limits(**limits), instance)
        threading.Thread(target=self._run, args=arguments, daemon=True).start()

    def messages(self, wait_s: float) -> list[Message]:
        """Return what was said since the last call; wait up to ``wait_s`` seconds for something.

        Beside what a worker says there is ``waiting`` with a ``text``, and at the end ``ended``
        with the ``death`` of the worker (None: it came to its end), ``unavailable`` with a
        ``reason``, where the runtime does not work on this machine, or ``broken`` with a
        ``reason``, where anything else keeps the machine from running it.
        """
        said = []
        try:
            said.append(self._said.get(timeout=wait_s))
            while True:
                said.append(self._said.get_nowait())
        except Empty:
            return said

    def _run(self, request: Message, limits: Limits, instance: str) -> None:
        try:
            with device_lock(instance, self._wait):
                death = run_child(
                    request, limits, self._said.put, environment_at_start(), import_path()
                )
            self._said.put({"type": "ended", "death": death})
        except UnavailableError as missing:
            self._said.put({"type": "unavailable", "reason": str(missing)})
        # The thread has no caller: whatever went wrong is told by a message.
        except Exception as failure:  # noqa: BLE001
            reason = f"{type(failure).__name__}: {failure}"
            self._said.put({"type": "broken", "reason": reason})

    def _wait(self, text: str) -> None:
        self._said.put({"type": "waiting", "text": text})


def limits_message(limits: Limits) -> Message:
    """Return ``limits`` as :meth:`Station.start` takes them."""
    return dataclasses.asdict(limits)


def environment_at_start() -> dict[str, str]:
    """Return the environment that this process was started with, as its machine's owner set it.

    Ray blanks CUDA_VISIBLE_DEVICES and sets OMP_NUM_THREADS later, in its worker processes.
    """
    entries = Path("/proc/self/environ").read_bytes().decode(errors="surrogateescape").split("\0")
    pairs = (entry.partition("=") for entry in entries)
    return {name: value for name, _, value in pairs if name and not name.startswith(_FOREIGN)}


def show_cards_as_started() -> None:
    """Let this process see the cards that its machine's owner shows Ray, not those Ray left it.

    Ray hides all of them from a task that asks for none, and gives others a number; which card of
    a model is measured, however, is a matter of the instance.
    """
    os.environ.pop(_CARDS, None)
    os.environ.update(
        {name: value for name, value in environment_at_start().items() if name == _CARDS}
    )


def import_path() -> list[str]:
    """Return ``sys.path`` without the packages that Ray brings along for its own processes."""
    ray = sys.modules.get("ray")
    own = None if ray is None or ray.__file__ is None else Path(ray.__file__).parent
    return [entry for entry in sys.path if own is None or not Path(entry).is_relative_to(own)]


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "latbench" / "models"
