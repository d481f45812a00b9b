"""Constructor arguments by name, as scikit-learn has them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from latbench import registry
from latbench.errors import UsageError

if TYPE_CHECKING:
    from typing import Self


class Parameters:
    """An object whose constructor stores its arguments under their names, and nothing else."""

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    @classmethod
    def _check_names(cls, given: Mapping[str, Any]) -> None:
        names = cls._names()
        for name in given:
            if name not in names:
                raise UsageError(registry.unknown(f"{cls.__name__} parameter", name, names))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's arguments by name; ``deep`` is there for scikit-learn's sake."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self, **params: Any) -> Self:
        """Replace constructor arguments; whatever was learned with the old ones is forgotten.

        Raises:
            UsageError: a name is unknown.
        """
        self._check_names(params)
        self._forget()
        self.__dict__.update(params)
        return self

    def clone(self) -> Self:
        """Return a new object with the same arguments, which has learned nothing."""
        return type(self)(**self.get_params())

    def _forget(self) -> None:
        params = self.get_params()
        self.__dict__.clear()
        self.__dict__.update(params)
