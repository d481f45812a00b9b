"""What a search leaves in its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from latbench.errors import UsageError
from latbench.workflows.search import prepare

if TYPE_CHECKING:
    from latbench.spaces import IntArray
    from latbench.workflows.found import Found


def save(found: Found, folder: Path) -> list[str]:
    """Write the networks and the result into ``folder``, and return the files' names.

    They are ``network.onnx``, ``arch.json`` and ``search.json``, and where the network found misses
    its target ``nearest.onnx`` and ``nearest.json``, the architecture of the nearest that meets it.
    Those of an earlier search go.

    Raises:
        UsageError: the folder cannot be written.
    """
    prepare(folder)
    try:
        names = _network(found, found.timed.x, folder, "network.onnx", "arch.json")
        if found.nearest is not None and found.nearest.met:
            x = found.nearest.timed.x
            names += _network(found, x, folder, "nearest.onnx", "nearest.json")
        else:
            for old in ("nearest.onnx", "nearest.json"):
                (folder / old).unlink(missing_ok=True)
        document = json.dumps(found.document(), indent=2)
        (folder / "search.json").write_text(document + "\n", encoding="utf-8")
    except OSError as failure:
        raise UsageError(f"{folder} cannot be written: {failure.strerror}") from failure
    return [*names, "search.json"]


def _network(found: Found, x: IntArray, folder: Path, model: str, arch: str) -> list[str]:
    import onnx

    text = json.dumps(found.space.to_json(x), indent=2)
    (folder / arch).write_text(text + "\n", encoding="utf-8")
    onnx.save_model(found.space.to_onnx(x, found.target.batch), folder / model)
    return [model, arch]
