"""A yes or no on architectures by their predicted latency."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from latbench.errors import UsageError
from latbench.predictor import Predictor


class LatencyFilter:
    """Keep the architectures that stay within a latency limit.

    Without ``confidence`` the prediction itself must be at most ``limit_ms``. With it, the upper
    end of the one-sided interval must be: of the new networks, that share is measured below it.

    Attributes:
        accepted: architectures kept so far.
        rejected: architectures turned down so far.
    """

    def __init__(
        self, predictor: Predictor, limit_ms: float, confidence: float | None = None
    ) -> None:
        """Bind a fitted predictor to a limit.

        Raises:
            UsageError: the limit is not above zero, or the confidence is no share between 0 and 1.
        """
        if not (math.isfinite(limit_ms) and limit_ms > 0):
            raise UsageError(f"the limit {limit_ms!r} is no latency; give ms above zero")
        if confidence is not None and not 0 < confidence < 1:
            raise UsageError(f"the confidence {confidence!r} is no share; give one such as 0.95")
        self.predictor = predictor
        self.limit_ms = limit_ms
        self.confidence = confidence
        self.accepted = 0
        self.rejected = 0

    def __call__(self, X: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return which of the architectures ``X`` (n, choices) stay within the limit, (n,).

        Raises:
            UsageError: ``X`` is not of the predictor's space, or the predictor was fitted on too
                few networks for the confidence.
        """
        if self.confidence is None:
            bound_ms = self.predictor.predict(X)
        else:
            bound_ms = self.predictor.predict_upper(X, self.confidence)
        kept: npt.NDArray[np.bool_] = bound_ms <= self.limit_ms
        self.accepted += int(kept.sum())
        self.rejected += int((~kept).sum())
        return kept
