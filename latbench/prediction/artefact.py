"""A fitted predictor as a folder of plain files that loading can check and cannot run.

``predictor.json`` says what it is and carries a checksum of itself and of the files that hold
everything learned: ``arrays.npz``, and ``NAME.txt`` for each text, such as LightGBM's of its trees.
``CARD.md`` tells people.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from latbench.errors import ArtefactError, UsageError
from latbench.prediction import model_card
from latbench.target import Target
from latbench.version import current_version

FORMAT = "latbench-predictor"
SCHEMA = 1
DOCUMENT, ARRAYS, CARD = "predictor.json", "arrays.npz", "CARD.md"

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Artefact:
    """What a predictor's folder holds.

    Attributes:
        kind: registered name of the predictor.
        params: constructor arguments beside the space, JSON values.
        space: the spec that rebuilds the space.
        choices: choice -> options, by which a space that has changed since is told.
        target: what the latencies belong to.
        card: the model card's entries; see :data:`latbench.prediction.model_card.FIELDS`.
        created: date and time of saving, ISO 8601.
        arrays: everything learned, by name. One that is a single text is a file of its own.
    """

    kind: str
    params: dict[str, Any]
    space: dict[str, Any]
    choices: dict[str, list[str]]
    target: Target
    card: dict[str, Any]
    created: str
    arrays: Arrays


def now() -> str:
    """Return the present date and time in UTC, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def write(folder: str | os.PathLike[str], artefact: Artefact) -> None:
    """Write ``artefact`` into ``folder``, all of it or nothing; an older predictor is replaced.

    Raises:
        UsageError: the folder holds something else, cannot be written, or a parameter is no JSON.
    """
    path = Path(folder)
    if path.exists() and not (path / DOCUMENT).is_file() and not _empty(path):
        raise UsageError(f"{path} exists and holds no predictor; give a new folder")
    texts = {name: str(a.item()).encode() for name, a in artefact.arrays.items() if _is_text(a)}
    arrays = _packed({name: a for name, a in artefact.arrays.items() if not _is_text(a)})
    document = _document(artefact, arrays, texts)
    card = model_card.render(
        artefact.kind, _canonical(artefact.space), artefact.target, artefact.created, artefact.card
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.{uuid.uuid4().hex}.new")
        new.mkdir()
        try:
            (new / ARRAYS).write_bytes(arrays)
            for name, text in texts.items():
                (new / _text_file(name)).write_bytes(text)
            (new / CARD).write_text(card, encoding="utf-8")
            (new / DOCUMENT).write_text(document, encoding="utf-8")
            _put(new, path)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error}; give a folder you may write") from error


def read(folder: str | os.PathLike[str], target: Target | None = None) -> Artefact:
    """Return what ``folder`` holds, with every checksum verified.

    Args:
        folder: written by :func:`write`.
        target: if given, any other target is refused.

    Raises:
        UsageError: there is no predictor in ``folder``.
        ArtefactError: a file is missing, truncated, changed or of a newer schema, or the target is
            another.
    """
    path = Path(folder)
    if not (path / DOCUMENT).is_file():
        raise UsageError(f"no predictor in {path}: it has no {DOCUMENT}; give a folder that has")
    document = _verified(path / DOCUMENT)
    found = Target.from_dict(document["target"])
    if target is not None and found != target:
        raise ArtefactError(
            f"{path} predicts for {found.label}, not for {target.label}; fit one for that target"
        )
    packed = _intact(path / ARRAYS, document["arrays_sha256"])
    texts = {
        name: np.array(_intact(path / _text_file(name), checksum).decode())
        for name, checksum in document.get("texts_sha256", {}).items()
    }
    return Artefact(
        kind=document["kind"],
        params=document["params"],
        space=document["space"],
        choices=document["choices"],
        target=found,
        card=document["card"],
        created=document["created"],
        arrays={**_unpacked(path / ARRAYS, packed), **texts},
    )


_ENTRIES = {
    "kind",
    "params",
    "space",
    "choices",
    "target",
    "card",
    "created",
    "arrays_sha256",
}
_DAMAGED = "does not match its checksum: it was truncated or changed; copy it anew, or fit again"


def _empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _put(new: Path, path: Path) -> None:
    if not (path / DOCUMENT).exists():
        new.rename(path)
        return
    # A folder cannot be renamed onto a full one: the old one steps aside, and back on failure.
    old = path.with_name(f".{path.name}.{uuid.uuid4().hex}.old")
    path.rename(old)
    try:
        new.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old)


def _is_text(array: npt.NDArray[Any]) -> bool:
    return array.ndim == 0 and array.dtype.kind == "U"


def _text_file(name: str) -> str:
    if not name.isidentifier():
        raise ArtefactError(f"{name!r} is no name of a text that was learned; fit again")
    return f"{name}.txt"


def _intact(path: Path, checksum: str) -> bytes:
    if not path.is_file():
        raise ArtefactError(f"{path} is missing; copy the whole folder, or fit again")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != checksum:
        raise ArtefactError(f"{path} {_DAMAGED}")
    return content


def _packed(arrays: Arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _unpacked(path: Path, packed: bytes) -> dict[str, npt.NDArray[Any]]:
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ArtefactError(f"{path} holds no plain arrays: {error}; fit again") from error


def _document(artefact: Artefact, arrays: bytes, texts: Mapping[str, bytes]) -> str:
    document = {
        "format": FORMAT,
        "schema": SCHEMA,
        "kind": artefact.kind,
        "params": artefact.params,
        "space": artefact.space,
        "choices": artefact.choices,
        "target": artefact.target.to_dict(),
        "card": artefact.card,
        "created": artefact.created,
        "latbench": current_version(),
        "arrays_sha256": hashlib.sha256(arrays).hexdigest(),
        "texts_sha256": {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()},
    }
    try:
        # Through text and back, so that the checksum is of what a reader will see.
        document = json.loads(json.dumps(document, allow_nan=False, default=_plain))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"this {artefact.kind} cannot be saved: {error}; its parameters and its card must be "
            "JSON values"
        ) from error
    return json.dumps({**document, "sha256": _checksum(document)}, indent=1) + "\n"


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} is no JSON value")


def _verified(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise ArtefactError(f"{path} is no JSON: {error}; it was truncated or changed") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ArtefactError(f"{path} describes no predictor; give the folder of one")
    schema = document.get("schema")
    if not isinstance(schema, int) or schema > SCHEMA:
        raise ArtefactError(
            f"{path} has schema {schema!r} and this latbench reads up to {SCHEMA}: upgrade latbench"
        )
    checksum = document.pop("sha256", None)
    if checksum != _checksum(document):
        raise ArtefactError(f"{path} {_DAMAGED}")
    if lacking := sorted(_ENTRIES - set(document)):
        raise ArtefactError(
            f"{path} has no {lacking[0]!r}: another version of latbench wrote it; fit again"
        )
    return document


def _checksum(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(document).encode()).hexdigest()


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
