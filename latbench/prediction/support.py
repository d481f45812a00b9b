"""What a prediction rests on: measurements, quantities between measured ones, or nothing."""

from __future__ import annotations

from dataclasses import dataclass

from latbench.prediction.inputs import FloatArray


@dataclass(frozen=True, eq=False)
class Support:
    """Shares of predictions, each (n,) and 0 to 1; the three of a network add up to 1.

    Attributes:
        measured: what was measured itself: a block, or an option that a fitted network had.
        interpolated: what lies between measured quantities.
    """

    measured: FloatArray
    interpolated: FloatArray

    @property
    def nothing(self) -> FloatArray:
        """What nothing tells of: a guess."""
        rest: FloatArray = 1 - self.measured - self.interpolated
        # Shares of a third do not add up to 1 to the last bit.
        return rest.clip(0.0, 1.0).round(12)
