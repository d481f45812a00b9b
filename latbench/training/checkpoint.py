"""The state of a training in one file: safetensors for tensors, JSON in its header for the rest.

Loading runs no code. A file says which space, data and settings it belongs to, and is refused
for any other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from latbench.errors import ArtefactError
from latbench.training.saving import check_identity, replace_file

FORMAT = "latbench-checkpoint"
VERSION = 1
_PARTS = ("identity", "step", "values")


@dataclass
class Checkpoint:
    """What a training needs to go on as if it had never stopped.

    Attributes:
        step: steps that are done.
        tensors: weights, buffers, optimiser states and generator states by name.
        values: everything else, as JSON values.
    """

    step: int
    tensors: dict[str, Tensor] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    def put_tensors(self, prefix: str, tensors: Mapping[str, Tensor]) -> None:
        """Add ``tensors``, such as a ``state_dict``, under ``prefix``."""
        self.tensors.update(
            {f"{prefix}/{name}": tensor.detach() for name, tensor in tensors.items()}
        )

    def get_tensors(self, prefix: str) -> dict[str, Tensor]:
        """Return what was put under ``prefix``."""
        start = f"{prefix}/"
        return {
            name.removeprefix(start): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(start)
        }

    def put_optimizer(self, prefix: str, optimizer: Optimizer) -> None:
        """Add the state of ``optimizer`` under ``prefix``."""
        state = optimizer.state_dict()
        plain: dict[str, Any] = {}
        for index, entries in state["state"].items():
            for name, value in entries.items():
                if isinstance(value, Tensor):
                    self.tensors[f"{prefix}/{index}/{name}"] = value.detach()
                else:
                    plain[f"{index}/{name}"] = value
        self.values[prefix] = {"plain": plain, "groups": state["param_groups"]}

    def get_optimizer(self, prefix: str, optimizer: Optimizer) -> None:
        """Set ``optimizer``, over the same parameters, to the state put under ``prefix``."""
        saved = self.values[prefix]
        state: dict[int, dict[str, Any]] = {}
        for place, value in {**self.get_tensors(prefix), **saved["plain"]}.items():
            index, _, name = place.partition("/")
            state.setdefault(int(index), {})[name] = value
        optimizer.load_state_dict({"state": state, "param_groups": saved["groups"]})


def write_checkpoint(path: Path, checkpoint: Checkpoint, identity: Mapping[str, Any]) -> None:
    """Write ``checkpoint`` to ``path``, whole or not at all.

    Args:
        path: the file; an existing one is replaced.
        checkpoint: the state.
        identity: JSON values that say what it belongs to.

    Raises:
        ArtefactError: the file cannot be written.
    """
    from safetensors.torch import save

    header = {
        "format": FORMAT,
        "version": VERSION,
        "identity": identity,
        "step": checkpoint.step,
        "values": checkpoint.values,
    }
    # Equal storages, such as tied weights, are refused by the format unless they are copies.
    tensors = {
        name: tensor.cpu().contiguous().clone() for name, tensor in checkpoint.tensors.items()
    }
    replace_file(path, save(tensors, metadata={"latbench": json.dumps(header, sort_keys=True)}))


def read_checkpoint(path: Path, identity: Mapping[str, Any]) -> Checkpoint:
    """Return the state in ``path``, on the CPU.

    Raises:
        ArtefactError: the file is damaged, no checkpoint, of a newer version, or belongs to
            something else than ``identity``.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as stream:
            text = (stream.metadata() or {}).get("latbench", "{}")
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
        header = json.loads(text)
    except (OSError, SafetensorError, json.JSONDecodeError) as failure:
        raise ArtefactError(
            f"{path} cannot be read as a checkpoint ({failure}); delete it to begin anew"
        ) from failure
    if not isinstance(header, Mapping) or header.get("format") != FORMAT:
        raise ArtefactError(f"{path} is not a checkpoint of latbench; choose another file")
    if header.get("version") != VERSION:
        raise ArtefactError(
            f"{path} is a checkpoint of version {header.get('version')}, this latbench reads "
            f"version {VERSION}; use the latbench that wrote it, or delete it to begin anew"
        )
    for part in _PARTS:
        if part not in header:
            raise ArtefactError(f"{path} is damaged: it has no {part}; delete it to begin anew")
    check_identity(str(path), header["identity"], json.loads(json.dumps(identity)))
    return Checkpoint(header["step"], tensors, header["values"])
