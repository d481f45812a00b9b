"""Arrays of bytes out of a pickle, without calling anything that it names.

A pickle is a program: it may name any function and have it called. Here the three names that
NumPy's arrays are stored under stand for a class that keeps what it is given, and any other name
is refused, so that nothing of NumPy's runs either.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from latbench.errors import UsageError
from latbench.training.images.parts import Pixels

_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}
_BYTES = ("u1", b"u1")


class _Kept:
    """Stands for an array or a type of NumPy's: what it was to be made of."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[_Kept]:
        """Return the stand-in, whatever is named."""
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no plain array needs")
        return _Kept


def read_pickle(path: Path, content: bytes) -> Mapping[Any, Any]:
    """Return the dictionary in ``content``, its arrays of bytes as uint8 of their shape.

    Text of Python 2 stays bytes, keys too.

    Args:
        path: where it comes from, for messages.
        content: the pickle.

    Raises:
        UsageError: it is damaged, or holds something else than plain values and arrays of bytes.
    """
    try:
        held = _Reader(io.BytesIO(content), encoding="bytes").load()
        if not isinstance(held, dict):
            raise pickle.UnpicklingError(f"it holds a {type(held).__name__}, not a dictionary")
        return {
            key: _array(value) if isinstance(value, _Kept) else value for key, value in held.items()
        }
    # A damaged pickle ends in nearly any error.
    except Exception as failure:
        raise UsageError(
            f"{path} cannot be read: {failure}; unpack it again, or take the binary version"
        ) from failure


def _array(kept: _Kept) -> Pixels:
    # As ndarray.__reduce__ writes it.
    _, shape, dtype, by_columns, content = kept.state
    if not isinstance(dtype, _Kept) or dtype.arguments[0] not in _BYTES or by_columns:
        raise pickle.UnpicklingError("an array in it is not of plain bytes")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)
