"""A Ray cluster whose nodes offer devices: who has which, and answers from there."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from latbench import devices
from latbench.errors import LatbenchError, UnavailableError
from latbench.profiling.station import show_cards_as_started
from latbench.version import current_version

LOCAL = "ray"
PREFIX = "ray://"
CLIENT_PORT = 10001

_TRIES = 3
_REACH_S = 10.0
_ANSWER_S = 120.0
_OBJECT_STORE_BYTES = 200 * 2**20

T = TypeVar("T")


class ClusterFault(Exception):
    """The cluster failed, not what was to be measured; it may go well when tried again."""


def resource_of(device: str) -> str:
    """Return the name of the Ray resource by which a node offers ``device``."""
    return f"latbench:{device}"


def _gpus_of(device: str) -> int:
    """Return how many of Ray's GPUs ``device`` takes, so that nobody else's work is put there."""
    return 1 if devices.profile(device).kind == "gpu" else 0


def _start_of(device: str) -> str:
    """Return the command that starts a node which offers ``device``."""
    gpus = f" --num-gpus={_gpus_of(device)}" if _gpus_of(device) else ""
    offer = f"--resources='{{\"{resource_of(device)}\": 1}}'"
    return f"ray start --address=HEAD:6379{gpus} {offer}"


def _refusal(device: str, gpus: float) -> str:
    """Return why a node with ``gpus`` GPUs cannot offer the card ``device``, and how one does."""
    return (
        f"the node that offers {resource_of(device)} has {gpus:g} of Ray's GPUs and must have 1, "
        "so that no other work is put on the card while it is measured; stop it (`ray stop`) and "
        f"start it with one: `{_start_of(device)}`, after "
        "`export CUDA_VISIBLE_DEVICES=GPU-…` where there are several (nvidia-smi -L lists them)"
    )


class Cluster:
    """A connection to Ray. Devices are custom resources of capacity 1; a card is a GPU as well."""

    def __init__(self, ray: Any, address: str) -> None:
        """Speak through the module ``ray``, which is connected to ``address``."""
        self._ray = ray
        self.address = address

    def nodes_with(self, device: str) -> list[str]:
        """Return the ids of the living nodes that offer ``device``; a card with one GPU alone.

        Which of several GPUs Ray gives away is no matter of latbench's: somebody else's work could
        be put on the one that is measured.
        """
        return sorted(
            node
            for node, gpus in self._offers(device).items()
            if not _gpus_of(device) or gpus == _gpus_of(device)
        )

    def _offers(self, device: str) -> dict[str, float]:
        """Return how many GPUs each living node has that offers ``device``, by its id."""
        with self._faults():
            found = self._ray.nodes()
        return {
            node["NodeID"]: node["Resources"].get("GPU", 0)
            for node in found
            if node["Alive"] and node["Resources"].get(resource_of(device), 0) >= 1
        }

    def ask(self, node: str, function: Callable[[], T]) -> T:
        """Return what ``function``, of a module of latbench, returns on ``node``.

        Raises:
            LatbenchError: the function raised it there, or latbench there is another version.
            ClusterFault: the node did not answer.
        """
        remote = self._ray.remote(_answer).options(
            num_cpus=0, max_retries=0, scheduling_strategy=self._on(node)
        )
        with self._faults():
            answer: T = self._ray.get(remote.remote(function, current_version()), timeout=_ANSWER_S)
        return answer

    def ask_all(self, device: str, function: Callable[[], T]) -> list[T]:
        """Return what ``function`` returns on each node that offers ``device`` and can tell.

        Raises:
            LatbenchError: no node offers it, or as a card ought to be, or none of them can tell;
                the text says why.
        """
        nodes = self.nodes_with(device)
        if not nodes:
            refused = self._offers(device).values()
            raise UnavailableError(
                _refusal(device, max(refused)) if refused else self.absence(device)
            )
        answers, reasons = [], []
        for node in nodes:
            try:
                answers.append(self.ask(node, function))
            except (LatbenchError, ClusterFault) as failure:
                reasons.append(failure)
        if not answers:
            resource = resource_of(device)
            raise UnavailableError(f"the node that offers {resource} says: {reasons[0]}")
        return answers

    def absence(self, device: str) -> str:
        """Return that no node offers ``device``, and how to start one that does."""
        start = _start_of(device)
        if self.address == LOCAL:
            return (
                f"no {device} on this machine, where --executor ray starts Ray; start a node where "
                f"the device is, `{start}`, and name its head: --executor ray://HEAD:{CLIENT_PORT}"
            )
        return (
            f"no node of {self.address} offers {resource_of(device)}; start one on the machine "
            f"that has the device: `{start}`"
        )

    @contextlib.contextmanager
    def actor(self, node: str, device: str, cls: type) -> Iterator[Any]:
        """Hold ``device`` on ``node`` with an actor of the class ``cls``; it ends with the block.

        Its first call is answered once the device is free in the cluster.
        """
        with self._faults():
            remote = self._ray.remote(cls).options(
                num_cpus=0,
                num_gpus=_gpus_of(device),
                resources={resource_of(device): 1},
                max_restarts=0,
                max_task_retries=0,
                scheduling_strategy=self._on(node),
            )
            handle = remote.remote()
        try:
            yield handle
        finally:
            # Without a connection there is nothing left to end: Ray ends it with its owner.
            with contextlib.suppress(ClusterFault, UnavailableError), self._faults():
                self._ray.kill(handle)

    def get(self, reference: Any, timeout_s: float) -> Any:
        """Return what a call on an actor gives.

        Raises:
            TimeoutError: nothing came; it can be asked for again.
            LatbenchError: the call raised it, or the connection is lost.
            ClusterFault: it cannot come any more, for the node or the actor is gone.
        """
        with self._faults(timeouts=False):
            return self._ray.get(reference, timeout=timeout_s)

    def put(self, value: object) -> Any:
        """Return a reference to ``value``, which calls may be given in place of it."""
        with self._faults():
            return self._ray.put(value)

    def _on(self, node: str) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return NodeAffinitySchedulingStrategy(node, soft=False)

    @contextlib.contextmanager
    def _faults(self, timeouts: bool = True) -> Iterator[None]:
        """Turn what Ray raises into what latbench knows; the first line says enough."""
        from ray.exceptions import GetTimeoutError, RayError, RayTaskError

        try:
            yield
        except GetTimeoutError as failure:
            if not timeouts:
                raise TimeoutError from failure
            raise ClusterFault(f"no answer within {_ANSWER_S:g} s") from failure
        except RayTaskError as failure:
            cause = failure.cause
            if isinstance(cause, LatbenchError):
                raise cause from None
            raise ClusterFault(f"{type(cause).__name__}: {cause}") from failure
        except (RayError, ModuleNotFoundError) as failure:
            text = str(failure)
            if "No module named 'latbench" in text:
                raise UnavailableError(
                    f"a machine of {self.address} has no latbench; install the same version on "
                    "every one, the head included: pip install 'latbench[cluster]'"
                ) from failure
            raise ClusterFault(text.split("\n")[0].rstrip(".")) from failure
        except ConnectionError as failure:
            raise UnavailableError(
                f"the connection to {self.address} is lost; run the command again, it goes on "
                "where it was"
            ) from failure


def _answer(function: Callable[[], T], version: str) -> T:
    here = current_version()
    if here != version:
        raise UnavailableError(
            f"latbench is {here} there and {version} here; install the same version on both"
        )
    show_cards_as_started()
    return function()


@contextlib.contextmanager
def connected(place: str, wanted: Sequence[str]) -> Iterator[Cluster]:
    """Connect to Ray for the time of the block.

    Args:
        place: ``ray`` to start one on this machine, or ``ray://HOST[:PORT]``.
        wanted: devices; a Ray that is started here offers those of them that are here.

    Raises:
        UnavailableError: Ray is not installed, or nothing answers there.
    """
    try:
        import grpc
        import ray
    except ImportError as failure:
        raise UnavailableError(
            f"--executor {place} needs Ray, which is not installed: pip install 'latbench[cluster]'"
        ) from failure
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    if place == LOCAL:
        _start(ray, wanted, quiet)
    else:
        host, port = address_of(place)
        channel = grpc.insecure_channel(f"{host}:{port}")
        try:
            # Ray itself would try for more than a minute.
            grpc.channel_ready_future(channel).result(timeout=_REACH_S)
            _join(ray, f"{PREFIX}{host}:{port}", quiet)
        except (
            grpc.FutureTimeoutError,
            ConnectionError,
            RuntimeError,
            ray.exceptions.RayError,
        ) as failure:
            # A traceback of the far end has what matters last.
            said = str(failure).strip().split("\n")[-1]
            raise UnavailableError(
                f"{place} does not answer as a Ray head does{': ' + said if said else ''}; see "
                f"that `ray start --head` runs there and that port {port} is open to this machine"
            ) from failure
        finally:
            channel.close()
    try:
        yield Cluster(ray, place)
    finally:
        ray.shutdown()


def _join(ray: Any, address: str, quiet: dict[str, Any]) -> None:
    # The head forks a server for each client beside the threads of its own, and now and then that
    # server dies at birth.
    for left in reversed(range(_TRIES)):
        try:
            ray.init(address, **quiet)
        except ConnectionAbortedError:
            ray.shutdown()
            if not left:
                raise
        else:
            return


def address_of(place: str) -> tuple[str, int]:
    """Return host and port of ``ray://HOST[:PORT]``.

    Raises:
        ValueError: it is not of that form.
    """
    if not place.startswith(PREFIX):
        raise ValueError(place)
    host, colon, port = place.removeprefix(PREFIX).rpartition(":")
    if not colon:
        host, port = port, str(CLIENT_PORT)
    if not host or not port.isdigit() or "/" in host or not 0 < int(port) < 65536:
        raise ValueError(place)
    return host, int(port)


def _start(ray: Any, wanted: Sequence[str], quiet: dict[str, Any]) -> None:
    here = [name for name in wanted if devices.present(devices.profile(name))]
    # Cards of several models share it, and so take turns, as all that is measured does.
    gpus = max(map(_gpus_of, here), default=0)
    # Nothing that is measured here is anybody else's business.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    path = os.pathsep.join(entry for entry in sys.path if entry)
    ray.init(
        address="local",
        resources={resource_of(name): 1 for name in here},
        # None lets Ray look for cards, which it finds by means of its own.
        num_gpus=gpus or None,
        include_dashboard=False,
        object_store_memory=_OBJECT_STORE_BYTES,
        runtime_env={"env_vars": {"PYTHONPATH": path}},
        **quiet,
    )
