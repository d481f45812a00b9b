"""Columns and the products of any two of them: what adds up, and how it adds up together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latbench.prediction.inputs import FloatArray

PRODUCT = 0.03
"""How little a ridge shrinks a product, beside the 1 of a column: less to tell, and many of them.

Chosen on this project's own tables of NAS-Bench-201, of 0, 0.01 to 0.1 and 0.3.
"""
_CONSTANT = 1e-9  # a spread below this share of the largest value is rounding


@dataclass(frozen=True)
class Products:
    """Columns of one size, and their products.

    Attributes:
        centre: what is taken off the columns (columns,).
        scale: what they are multiplied by then; 0 for one that was the same in all networks.
    """

    centre: FloatArray
    scale: FloatArray

    @classmethod
    def over(cls, columns: FloatArray) -> Products:
        """Return those that have mean 0 and spread 1 in ``columns`` (n, columns)."""
        spread = columns.std(axis=0)
        varies = spread > _CONSTANT * np.abs(columns).max(axis=0, initial=0.0)
        scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=varies)
        return cls(columns.mean(axis=0), scale)

    def to_array(self) -> FloatArray:
        """Return the centre and the scale as rows (2, columns)."""
        return np.stack([self.centre, self.scale])

    def __call__(self, columns: FloatArray) -> FloatArray:
        """Return ``columns`` (n, k) and the products of any two, itself too, (n, k + k(k+1)/2)."""
        sized = (columns - self.centre) * self.scale
        one, other = np.triu_indices(sized.shape[1])
        return np.hstack([sized, PRODUCT * sized[:, one] * sized[:, other]])
