"""How something learned over a search space becomes a folder, and comes back."""

from __future__ import annotations

import inspect
import os
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy.typing as npt

from latbench import registry
from latbench.errors import ArtefactError, PluginError, UsageError
from latbench.parameters import Parameters
from latbench.prediction import artefact
from latbench.prediction.inputs import Space
from latbench.prediction.model_card import check_card
from latbench.target import Target

if TYPE_CHECKING:
    from typing import Self


class Saveable(Parameters):
    """An object that is its space, its other constructor arguments, and arrays it has learned.

    Attributes:
        space: over which it has learned.
        target: what its latencies belong to, once it was saved or loaded; else None.
    """

    kind: ClassVar[str]
    space: Space
    target: Target | None = None

    @abstractmethod
    def _learned(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything learned, or raise NotFittedError."""

    @abstractmethod
    def _relearn(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take up what :meth:`_learned` returned; a KeyError tells that an array is missing."""

    def save(self, folder: str | os.PathLike[str], target: Target, card: Mapping[str, Any]) -> None:
        """Write the fitted predictor into ``folder``: JSON, arrays and a model card; no pickle.

        Args:
            folder: a new one, or that of a predictor to replace.
            target: what its latencies belong to.
            card: the entries of :data:`latbench.prediction.model_card.FIELDS`, JSON values.

        Raises:
            NotFittedError: it was not fitted.
            UsageError: the card is incomplete, or the folder cannot be written.
        """
        arrays = self._learned()
        check_card(card)
        params = self.get_params()
        del params["space"]
        artefact.write(
            folder,
            artefact.Artefact(
                kind=self.kind,
                params=params,
                space=self.space.spec,
                choices=_options(self.space),
                target=target,
                card=dict(card),
                created=artefact.now(),
                arrays=arrays,
            ),
        )
        self.target = target

    @classmethod
    def load(cls, folder: str | os.PathLike[str], target: Target | None = None) -> Self:
        """Return the predictor saved in ``folder``; it predicts bit for bit as before.

        ``Predictor.load`` finds the class and the space through the registry; a subclass refuses
        what is not its own.

        Args:
            folder: written by :meth:`save`.
            target: the target it is wanted for, if any other is to be refused.

        Raises:
            UsageError: there is no predictor in ``folder``.
            ArtefactError: truncated, changed, of a newer schema, of another kind or target, or of
                a space that has changed since.
        """
        saved = artefact.read(folder, target)
        found = cls._class_of(folder, saved.kind)
        loaded = found(**_parameters(folder, saved, found._names()))
        try:
            loaded._relearn(saved.arrays)
        except KeyError as error:
            raise ArtefactError(
                f"{folder} lacks the array {error}, which {saved.kind} needs: it was written by "
                "another version of that predictor; fit again"
            ) from error
        loaded.target = saved.target
        return loaded

    @classmethod
    def _class_of(cls, folder: str | os.PathLike[str], kind: str) -> type[Self]:
        if kind == getattr(cls, "kind", None):
            return cls
        try:
            found: type[Self] = registry.load(registry.PREDICTORS, kind)
        except PluginError as error:
            raise ArtefactError(f"{folder} holds a predictor of another kind: {error}") from error
        if not issubclass(found, cls):
            raise ArtefactError(
                f"{folder} holds a {kind}, not a {cls.kind}; load it with Predictor.load"
            )
        return found


def _options(space: Space) -> dict[str, list[str]]:
    return {choice.name: list(choice.options) for choice in space.choices}


def _parameters(
    folder: str | os.PathLike[str], saved: artefact.Artefact, known: list[str]
) -> dict[str, Any]:
    odd = sorted(set(saved.params) - set(known))
    if odd:
        raise ArtefactError(
            f"{folder} gives {saved.kind} the parameter {odd[0]!r}, which it does not have: it was "
            "written by another version of that predictor; fit again"
        )
    kind = registry.load(registry.SPACES, saved.space["name"])
    try:
        inspect.signature(kind).bind(**saved.space["options"])
        space: Space = kind(**saved.space["options"])
    except (TypeError, UsageError) as refusal:
        raise ArtefactError(
            f"{folder} was fitted on a {saved.space['name']} with options that it no longer takes "
            f"({refusal}); fit again"
        ) from refusal
    if _options(space) != saved.choices:
        raise ArtefactError(
            f"{folder} was fitted on other choices than {saved.space['name']} has now; fit again"
        )
    return {"space": space, **saved.params}
