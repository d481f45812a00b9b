"""Runtimes: what compiles a workload and runs it. One module a runtime."""

from latbench.runtimes.runtime import Runtime, Session, random_inputs

__all__ = ["Runtime", "Session", "random_inputs"]
