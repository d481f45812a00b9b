"""The inputs of a session: ordinary values to time with, and the check of those that are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.spaces.workload import TensorSpec

Array = npt.NDArray[np.generic]


def random_inputs(specs: Sequence[TensorSpec]) -> dict[str, Array]:
    """Return inputs of ordinary values, the same for equal specs: normal floats, zero integers."""
    rng = np.random.default_rng(7)
    inputs: dict[str, Array] = {}
    for spec in specs:
        dtype = np.dtype(spec.dtype)
        if dtype.kind in "biu":
            inputs[spec.name] = np.zeros(spec.shape, dtype)
        else:
            inputs[spec.name] = rng.standard_normal(spec.shape).astype(dtype)
    return inputs


def check_inputs(inputs: Mapping[str, Array], specs: Sequence[TensorSpec]) -> None:
    """Refuse inputs that are not what a workload reads: an engine may cast or broadcast in silence.

    Raises:
        UsageError: one is missing, unknown, no array, or of another type or shape.
    """
    names = [spec.name for spec in specs]
    if set(inputs) != set(names):
        given, wanted = (", ".join(map(repr, some)) or "none" for some in (inputs, names))
        raise UsageError(f"the inputs of the workload are {wanted}, not {given}; give each by name")
    for spec in specs:
        values = inputs[spec.name]
        if not isinstance(values, np.ndarray):
            raise UsageError(
                f"the input {spec.name!r} is a {type(values).__name__}; give a NumPy array of "
                f"{spec.dtype} and shape {spec.shape}"
            )
        if str(values.dtype) != spec.dtype:
            raise UsageError(
                f"the input {spec.name!r} holds {values.dtype}, and the workload reads "
                f"{spec.dtype}; convert it with .astype({spec.dtype!r})"
            )
        if values.shape != spec.shape:
            raise UsageError(
                f"the input {spec.name!r} has the shape {values.shape}, and the workload reads "
                f"{spec.shape}; give that shape, or compile the workload for yours"
            )
