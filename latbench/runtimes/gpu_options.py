"""The runtime options of what runs on a GPU, and what times it under them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from latbench.errors import UsageError
from latbench.runtimes.gpu_clock import ColdHostClock, GpuClock, Lane
from latbench.timing import Clock

GPU_OPTIONS: Mapping[str, str] = {
    "clock": "what a latency is: host (default), the wall time of one run and the wait for its "
    "end; or gpu, the time between two events on the GPU, without the host's launches",
    "launch": "how a run is launched: stream (default), or graph: all its kernels at once, as a "
    "CUDA graph",
    "l2": "the L2 cache before a run: warm (default), or cold: written over, outside of the time",
}
_KNOWN: Mapping[str, tuple[str, ...]] = {
    "clock": ("host", "gpu"),
    "launch": ("stream", "graph"),
    "l2": ("warm", "cold"),
}


def refuse_unknown(
    options: Iterable[tuple[str, str]], known: Mapping[str, tuple[str, ...]] = _KNOWN
) -> None:
    """Refuse a value of an option that is not ``known``; options of others are left alone.

    Raises:
        UsageError: the text names the option, the value, and what there is.
    """
    for name, value in options:
        if value not in known.get(name, (value,)):
            raise UsageError(f"{name}={value!r} is unknown; use one of {', '.join(known[name])}")


def mode_of(options: Mapping[str, str]) -> str:
    """Return the timing mode of a target with these options, see :class:`Target`."""
    return "device" if options.get("clock") == "gpu" else "host"


def clock_for(options: Mapping[str, str], lane: Lane) -> Clock | None:
    """Return what times runs in ``lane``; None for the host's clock around a run and its wait."""
    cold = options.get("l2") == "cold"
    if options.get("clock") == "gpu":
        return GpuClock(lane, cold)
    return ColdHostClock(lane) if cold else None
