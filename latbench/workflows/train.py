"""Train: one architecture from scratch, its trained network exported, checked and timed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from latbench.profiling.subjects import network_subjects
from latbench.profiling.sweep import Instance, Sweep
from latbench.spaces import IntArray, SearchSpace
from latbench.store import Store
from latbench.target import Target
from latbench.timing import Protocol
from latbench.training.saving import replace_file
from latbench.workflows.accuracy import (
    NOTED_DROP,
    Accuracy,
    accuracies,
    lower_precisions,
    trained_workload,
)
from latbench.workflows.measured_latency import latency_of
from latbench.workflows.progress import Progress, silent
from latbench.workflows.search import prepare

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch import nn

    from latbench.training.callbacks import Callback
    from latbench.training.config import TrainConfig

_BATCH = 64
"""Images a run while the accuracy is told."""
_NETWORK, _WEIGHTS = "network.onnx", "weights.safetensors"
_STATE = "network.safetensors"
"""The state of a training, in the folder of checkpoints."""


@dataclass(frozen=True)
class Trained:
    """A trained architecture.

    Attributes:
        accuracy: on the test split, in torch, in [0, 1].
        by_target: the same of the exported network: in fp32 by ONNX Runtime, then on the target
            of the latency, then in other runtimes and precisions.
        true_ms, low_ms, high_ms: measured latency of the architecture at the space's own size.
        status: of that measurement.
        timed: images and classes that the latency is for, in words.
        exported: those of the exported network, in words.
        data: what it was trained on, in words.
        class_names: the name of each label.
        mean, deviation: of each channel of the training images; the exported network takes images
            from which the mean is subtracted, divided by the deviation.
        folder: where ``network.onnx`` and ``weights.safetensors`` lie.
    """

    accuracy: float
    by_target: list[Accuracy]
    true_ms: float
    low_ms: float
    high_ms: float
    status: str
    timed: str
    exported: str
    data: str
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    folder: Path

    @property
    def accuracy_exported(self) -> float:
        """Accuracy of the exported network in fp32 by ONNX Runtime, in [0, 1]."""
        accuracy = self.by_target[0].accuracy
        assert accuracy is not None  # where it cannot be told, nothing is trained to the end
        return accuracy

    @property
    def notes(self) -> list[str]:
        """What a reader must know of the exported network."""
        told = [note for one in self.by_target for note in one.notes(self.accuracy_exported)]
        if self.accuracy - self.accuracy_exported >= NOTED_DROP:
            told.insert(
                0,
                f"accuracy drops from {self.accuracy:.2%} in torch to {self.accuracy_exported:.2%} "
                "of the exported network in fp32; the export may have changed it",
            )
        if self.timed != self.exported:
            told.append(
                f"the latency is for {self.timed}, as the space has them; {_NETWORK} is for "
                f"{self.exported} and takes another time"
            )
        return told

    def document(self) -> dict[str, Any]:
        """Return the result as the command line prints it in JSON."""
        return {
            "accuracy": self.accuracy,
            "accuracy_exported": self.accuracy_exported,
            "accuracy_by_target": [one.document() for one in self.by_target],
            "true_ms": self.true_ms,
            "low_ms": self.low_ms,
            "high_ms": self.high_ms,
            "status": self.status,
            "timed": self.timed,
            "exported": self.exported,
            "data": self.data,
            "classes": list(self.class_names),
            "mean": list(self.mean),
            "deviation": list(self.deviation),
            "network": _NETWORK,
            "weights": _WEIGHTS,
            "notes": self.notes,
        }


def train(
    store: Store,
    space: SearchSpace,
    x: IntArray,
    target: Target,
    instance: Instance,
    *,
    data_name: str = "digits",
    data_size: int = 32,
    config: TrainConfig | None = None,
    train_on: str = "cpu",
    accuracy_on: Sequence[Target] | None = None,
    out: Path,
    protocol: Protocol | None = None,
    progress: Progress = silent,
    callbacks: Callable[[], Sequence[Callback]] = tuple,
    checkpoints: Path | None = None,
) -> Trained:
    """Train ``x`` (choices,) from scratch, export it, and say how exact and how fast it is.

    The network is trained and exported at the size of the training images and with as many logits
    as they have classes; the latency is that of the space's own size and classes.

    Args:
        store: takes the measurement.
        space: of the network.
        x: its architecture.
        target: what the latency belongs to, and one that the accuracy is told on.
        instance: where it is timed.
        data_name: name of the data set.
        data_size: side of the training images.
        config: how to train; its seed also draws the splits that the data set does not give.
        train_on: where: ``cpu``, ``cuda`` or ``cuda:N``.
        accuracy_on: where else to tell the accuracy of the exported network; by default in each
            lower precision that is here.
        out: folder for the exported network.
        protocol: how it is timed.
        progress: shows how far timing is.
        callbacks: gives listeners for training.
        checkpoints: folder for the state of the training, to go on from.

    Raises:
        UsageError: an unknown data set or one that is not as it should be, or a folder that cannot
            be made.
        UnavailableError: torch does not train on ``train_on`` here.
        ArtefactError: a folder cannot be written, or the state in ``checkpoints`` is damaged or
            belongs to another training.
        MeasurementError: the network could not be run in fp32, or not timed.
    """
    from latbench.spaces.exporting import export_module
    from latbench.training.config import TrainConfig
    from latbench.training.data import load_data
    from latbench.training.placement import check_place
    from latbench.training.retrain import retrain

    check_place(train_on)
    config = config or TrainConfig()
    data = load_data(data_name, data_size, channels=space.input_shape[0], seed=config.seed)
    options = {**space.options, "classes": data.classes, "image_size": data_size}
    small = type(space)(**options)
    prepare(out)
    if checkpoints is not None:
        prepare(checkpoints)
    trained = retrain(
        small,
        x,
        data,
        config,
        callbacks=callbacks(),
        checkpoint=None if checkpoints is None else checkpoints / _STATE,
        device=train_on,
    )
    network = trained.network.cpu()
    _write(out, network, export_module(network, ((1, *data.image_shape),)))
    exported = export_module(network, ((_BATCH, *data.image_shape),))
    workload = trained_workload(small, x, exported, out / _WEIGHTS)
    others = lower_precisions(target.device) if accuracy_on is None else accuracy_on
    by_target = accuracies(workload, data.test, [target, *others])
    (subject,) = network_subjects(space, x[np.newaxis], target.batch)
    with progress("timing the network") as tick:
        sweep = Sweep(store, target, instance, protocol or Protocol.standard(), on_progress=tick)
        swept = sweep.run([subject])
    true = latency_of(store, swept.jobs[0], subject)
    return Trained(
        accuracy=trained.accuracy,
        by_target=by_target,
        true_ms=true.latency_ms,
        low_ms=true.low_ms,
        high_ms=true.high_ms,
        status=true.status,
        timed=_sizes(space),
        exported=_sizes(small),
        data=f"{data.name} at {data_size}×{data_size}, {data.classes} classes",
        class_names=data.class_names,
        mean=data.mean,
        deviation=data.deviation,
        folder=out,
    )


def _sizes(space: SearchSpace) -> str:
    """Return the images that networks of ``space`` take and the classes they tell, in words."""
    _, height, width = space.input_shape
    return f"{height}×{width} and {space.classes} classes"


def _write(folder: Path, network: nn.Module, exported: ModelProto) -> None:
    """Write what was trained into ``folder``, before anything else may fail."""
    from safetensors.torch import save

    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    replace_file(folder / _WEIGHTS, save(tensors))
    replace_file(folder / _NETWORK, exported.SerializeToString())
