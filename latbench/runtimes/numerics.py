"""Whether what a runtime computes is still what the model says: its outputs against fp32."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from latbench.errors import MeasurementError
from latbench.runtimes.inputs import Array

GREATEST_RELATIVE_L2 = 0.05
"""Above it a latency is worth a note: the network may no longer be the one that was trained."""


def require_finite(outputs: Sequence[Array]) -> None:
    """Refuse outputs with values that are no numbers.

    Raises:
        MeasurementError: there are NaN or infinities; such values also run at another speed.
    """
    wrong = sum(int((~np.isfinite(_floats(values))).sum()) for values in outputs)
    if wrong:
        total = sum(values.size for values in outputs)
        raise MeasurementError(
            f"{wrong} of {total} values that it gives are NaN or infinite; take a precision with "
            "a wider range, such as fp32, or mend the model"
        )


def difference(outputs: Sequence[Array], reference: Sequence[Array]) -> dict[str, float]:
    """Return ``max_abs`` and ``relative_l2`` of ``outputs`` against those of a reference.

    Raises:
        MeasurementError: they are not as many, or have other shapes.
    """
    shapes, expected = ([values.shape for values in side] for side in (outputs, reference))
    if shapes != expected:
        raise MeasurementError(f"its outputs have the shapes {shapes}, fp32 gives {expected}")
    got, want = (
        np.concatenate([_floats(values).ravel() for values in side])
        for side in (outputs, reference)
    )
    error, norm = np.linalg.norm(got - want), np.linalg.norm(want)
    return {
        "max_abs": float(np.abs(got - want).max(initial=0.0)),
        # Outputs of nothing but zeros leave no scale to tell a small error by.
        "relative_l2": float(error / norm) if norm else float(error),
    }


def _floats(values: Array) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return values.astype(np.float64)
