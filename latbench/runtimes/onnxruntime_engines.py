"""Engines that ONNX Runtime's TensorRT provider built, kept for the next process.

The provider finds a kept engine by the names in its graph, whatever operators and weights bear
them, and takes a file that was cut off for an engine. So while a model is compiled, the provider
is shown a folder with what was kept of that model alone, checked; and what lies there afterwards
is kept.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latbench.runtimes.engine_cache import EngineCache

_TIMINGS = ".timing"


@dataclass(frozen=True)
class KeptEngines:
    """What was kept of one model.

    Attributes:
        cache: where.
        model: digest of the model.
        place: what engines and timings of kernels may be used with again, and nothing else, as
            JSON values.
    """

    cache: EngineCache
    model: str
    place: Mapping[str, Any]

    def put_into(self, folder: Path) -> bool:
        """Put engines and timings that were kept into ``folder``; return whether there are any."""
        packed = [self.cache.get(facts) for facts in (self._timings, self._engines)]
        found = [content for content in packed if content is not None]
        for content in found:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                archive.extractall(folder)
        return bool(found)

    def keep(self, folder: Path) -> None:
        """Keep what the provider wrote into ``folder``."""
        files = [path for path in sorted(folder.iterdir()) if path.is_file()]
        timings = [path for path in files if path.suffix == _TIMINGS]
        self.cache.put(self._engines, _packed([path for path in files if path not in timings]))
        if timings:
            self.cache.put(self._timings, _packed(timings))

    @property
    def _engines(self) -> dict[str, Any]:
        return {"kind": "onnxruntime engines", "model": self.model, "place": dict(self.place)}

    @property
    def _timings(self) -> dict[str, Any]:
        return {"kind": "onnxruntime timings", "place": dict(self.place)}


def options_for(folder: Path) -> dict[str, str]:
    """Return the options by which the TensorRT provider reads and writes ``folder``."""
    return {
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(folder),
    }


def engines_in(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each engine in ``folder``, by its file name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob("*.engine"))
    }


def empty(folder: Path) -> None:
    """Remove the files in ``folder``."""
    for path in folder.iterdir():
        path.unlink()


def _packed(files: list[Path]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in files:
            archive.write(path, path.name)
    return packed.getvalue()
