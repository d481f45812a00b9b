"""Runtimes: what compiles a workload and runs it. One module a runtime."""

from latbench.runtimes.inputs import random_inputs
from latbench.runtimes.kernel import CompiledGraph, Kernel
from latbench.runtimes.runtime import Runtime, Session

__all__ = ["CompiledGraph", "Kernel", "Runtime", "Session", "random_inputs"]
