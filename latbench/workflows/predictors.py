"""Saved predictors: where they are put by default, and the newest that fits a request."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from latbench import devices
from latbench.errors import ArtefactError, LatbenchError, MissingMeasurementsError, UsageError
from latbench.prediction import artefact
from latbench.predictor import Predictor
from latbench.spaces import IntArray, SearchSpace
from latbench.target import Target
from latbench.units import format_ms
from latbench.workflows.availability import runtime_for
from latbench.workflows.setting import Setting
from latbench.workflows.table_target import UNKNOWN, serves, unstated

FOLDER = Path("latbench-predictors")
"""Where predictors are saved and looked for unless a folder is named."""

_LONGEST_WORD = 40


def default_folder(
    space: SearchSpace, target: Target, kind: str, source: Sequence[str] = ()
) -> Path:
    """Return the folder of one kind of predictor for a space and a target.

    Args:
        space: the space.
        target: the target.
        kind: registered name of the predictor.
        source: what else tells its latencies from others of that target: a table and its column.
    """
    identity = hashlib.sha256("\n".join([space.id, *source]).encode()).hexdigest()[:8]
    parts = (
        space.name,
        identity,
        *(re.sub(r"[^A-Za-z0-9_.]+", "_", word)[:_LONGEST_WORD] for word in source),
        target.device,
        target.runtime,
        target.precision,
        f"b{target.batch}",
        f"t{target.threads}",
        kind,
    )
    return FOLDER / "-".join(parts)


def newest(space: SearchSpace, target: Target, command: str) -> tuple[Predictor, Path]:
    """Return the predictor of ``space`` on ``target`` that was saved last, and its folder.

    Args:
        space: the space, with equal options.
        target: the target, equal in everything.
        command: the command that would make one, for the message.

    Raises:
        MissingMeasurementsError: there is none; the text names the command.
        ArtefactError: it is damaged.
    """
    found: list[tuple[str, Path]] = []
    passed_over, elsewhere = [], []
    for document in sorted(FOLDER.glob(f"*/{artefact.DOCUMENT}")):
        try:
            saved = artefact.read(document.parent)
        except LatbenchError as failure:
            passed_over.append(str(failure))
            continue
        if saved.space == space.spec and saved.target == target:
            found.append((saved.created, document.parent))
        elif saved.space == space.spec:
            elsewhere.append(saved.target.label)
    if not found:
        damaged = (
            f" ({len(passed_over)} could not be read: {passed_over[0]})" if passed_over else ""
        )
        others = f", only on {'; '.join(dict.fromkeys(elsewhere))}" if elsewhere else ""
        raise MissingMeasurementsError(
            f"no predictor of {space.name} on {target.label} in {FOLDER}{others}{damaged}; "
            f"make one: `{command}`, or name one with --predictor DIR"
        )
    folder = max(found)[1]
    return Predictor.load(folder), folder


def load_for(folder: Path, space: SearchSpace, target: Target | None = None) -> Predictor:
    """Return the predictor in ``folder``, which must be one of ``space`` (and of ``target``).

    Raises:
        UsageError: there is none, or it is of another space.
        ArtefactError: it is damaged, or of another target.
    """
    predictor = Predictor.load(folder)
    if target is not None and not serves(target_of(predictor), target):
        raise ArtefactError(
            f"{folder} predicts for {target_of(predictor).label}, not for {target.label}; fit one "
            "for that target"
        )
    if predictor.space.spec != space.spec:
        raise UsageError(
            f"{folder} predicts {predictor.space.spec}, and this is about {space.spec}; "
            "give the same --space and --space-option, or another predictor"
        )
    return predictor


def load_asked(folder: Path, setting: Setting) -> Predictor:
    """Return the predictor in ``folder``, which must be of the target that was asked for.

    Where its device and its runtime are here, it must be of the version of the runtime that is
    installed; elsewhere, or if its own is not known, there is no version to hold it against. A
    device that is not known is one that nobody asks for by name.

    Raises:
        UsageError: there is none.
        ArtefactError: it is damaged, of another target, or of another version of the runtime.
    """
    predictor = Predictor.load(folder)
    target = target_of(predictor)
    if setting.any_device and target.device == UNKNOWN:
        setting = dataclasses.replace(setting, device=UNKNOWN)
    if not setting.matches(target):
        raise ArtefactError(
            f"{folder} predicts for {target.label}, not for {setting.label}; fit one for that "
            "target, or name none to predict for its own"
        )
    stale = outdated(target)
    if stale is not None:
        raise ArtefactError(
            f"{folder} is of no use for what is asked: {stale}; or name no target to predict for "
            "its own"
        )
    return predictor


def cautions(predictor: Predictor, X: IntArray) -> list[str]:
    """Return what a reader of the predictions for ``X`` (n, choices) must know, in sentences."""
    sentences = []
    if predictor.target is not None:
        stale = outdated(predictor.target)
        sentences = [*unstated(predictor.target), *([] if stale is None else [stale])]
    beyond = int(predictor.beyond(X).sum())
    if beyond:
        fastest, slowest = (format_ms(float(end)) for end in predictor.range_ms_)
        sentences.append(
            f"{beyond} of {len(X)} predictions lie beyond the networks that the {predictor.kind} "
            f"was fitted on, {fastest} to {slowest}: nothing so fast, or so slow, was measured; "
            "measure some of them"
        )
    share = predictor.coverage_of(X)
    partly = int((share < 1).sum())
    if partly:
        sentences.append(
            f"{partly} of {len(X)} predictions rest on measurements in part only, the least of "
            f"them to {100 * float(share.min()):.0f} %; measure networks like them"
        )
    return sentences


def outdated(target: Target) -> str | None:
    """Return what to say of predictions for ``target`` where its runtime is of another version.

    None where the version is the same or not known, and where device or runtime are not here.
    """
    if target.runtime_version == UNKNOWN:
        return None
    try:
        devices.require(target.device)
        runtime = runtime_for(target.runtime, target.device)
    except LatbenchError:
        return None  # not here: there is nothing to compare with
    version = runtime.version()
    if version == target.runtime_version:
        return None
    return (
        f"the predictor is one for {target.runtime} {target.runtime_version} and {version} is "
        "installed here, which may be faster or slower; measure with it, and fit again"
    )


def target_of(predictor: Predictor) -> Target:
    """Return the target of a loaded predictor.

    Raises:
        ArtefactError: it has none, because it was never saved.
    """
    if predictor.target is None:
        raise ArtefactError("the predictor has no target; save it with one first")
    return predictor.target


def space_of(predictor: Predictor) -> SearchSpace:
    """Return the space of a predictor as the search space that it is.

    Raises:
        UsageError: it predicts a table's rows, for which there are no networks.
    """
    if not isinstance(predictor.space, SearchSpace):
        raise UsageError(f"{predictor.space.spec['name']} is no search space; it has no networks")
    return predictor.space
