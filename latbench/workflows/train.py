"""Train: one architecture from scratch, its trained network exported, checked and timed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from latbench.errors import UsageError
from latbench.profiling.subjects import network_subjects
from latbench.profiling.sweep import Instance, Sweep
from latbench.spaces import IntArray, SearchSpace
from latbench.store import Store
from latbench.target import Target
from latbench.timing import Protocol
from latbench.workflows.progress import Progress, silent
from latbench.workflows.search import latency_of, prepare

if TYPE_CHECKING:
    import onnx

    from latbench.training.callbacks import Callback
    from latbench.training.config import TrainConfig
    from latbench.training.data import Split

_BATCH = 64


@dataclass(frozen=True)
class Trained:
    """A trained architecture.

    Attributes:
        accuracy: on the test split, in torch, in [0, 1].
        accuracy_exported: the same of the exported ONNX model in ONNX Runtime.
        true_ms, low_ms, high_ms: measured latency of the architecture at the space's own size.
        status: of that measurement.
        data: what it was trained on, in words.
        folder: where ``network.onnx`` lies.
    """

    accuracy: float
    accuracy_exported: float
    true_ms: float
    low_ms: float
    high_ms: float
    status: str
    data: str
    folder: Path

    def document(self) -> dict[str, Any]:
        """Return the result as the command line prints it in JSON."""
        return {
            "accuracy": self.accuracy,
            "accuracy_exported": self.accuracy_exported,
            "true_ms": self.true_ms,
            "low_ms": self.low_ms,
            "high_ms": self.high_ms,
            "status": self.status,
            "data": self.data,
            "network": "network.onnx",
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
    out: Path,
    protocol: Protocol | None = None,
    progress: Progress = silent,
    callbacks: Callable[[], Sequence[Callback]] = tuple,
) -> Trained:
    """Train ``x`` (choices,) from scratch, export it, and say how exact and how fast it is.

    The network is trained and exported at the size of the training images and with as many logits
    as they have classes; the latency is that of the space's own size and classes.

    Raises:
        UsageError: an unknown data set, or a folder that cannot be written.
        MeasurementError: the network could not be timed.
    """
    import onnx as onnx_package

    from latbench.spaces.exporting import export_module
    from latbench.training.config import TrainConfig
    from latbench.training.data import load_data
    from latbench.training.retrain import retrain

    data = load_data(data_name, data_size, channels=space.input_shape[0])
    options = {**space.options, "classes": data.classes, "image_size": data_size}
    small = type(space)(**options)
    prepare(out)
    trained = retrain(small, x, data, config or TrainConfig(), callbacks=callbacks())
    exported = export_module(trained.network.cpu(), ((_BATCH, *data.image_shape),))
    accuracy = accuracy_of(exported, data.test)
    deployed = export_module(trained.network, ((1, *data.image_shape),))
    try:
        onnx_package.save_model(deployed, out / "network.onnx")
    except OSError as failure:
        raise UsageError(f"{out} cannot be written: {failure.strerror}") from failure
    (subject,) = network_subjects(space, x[np.newaxis], target.batch)
    with progress("timing the network") as tick:
        sweep = Sweep(store, target, instance, protocol or Protocol.standard(), on_progress=tick)
        swept = sweep.run([subject])
    true = latency_of(store, swept.jobs[0], subject)
    return Trained(
        accuracy=trained.accuracy,
        accuracy_exported=accuracy,
        true_ms=true.latency_ms,
        low_ms=true.low_ms,
        high_ms=true.high_ms,
        status=true.status,
        data=f"{data.name} at {data_size}×{data_size}, {data.classes} classes",
        folder=out,
    )


def accuracy_of(model: onnx.ModelProto, split: Split) -> float:
    """Return the share of ``split`` that ``model`` gets right in ONNX Runtime, in [0, 1].

    ``model`` takes a fixed batch; the last, unfilled batch is padded with zeros.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    taken = session.get_inputs()[0]
    batch = taken.shape[0]
    images, labels = split.images.numpy(), split.labels.numpy()
    correct = 0
    for start in range(0, len(labels), batch):
        some = images[start : start + batch]
        padded = np.zeros((batch, *images.shape[1:]), dtype=np.float32)
        padded[: len(some)] = some
        (logits,) = session.run(None, {taken.name: padded})
        right = logits[: len(some)].argmax(axis=1) == labels[start : start + batch]
        correct += int(right.sum())
    return correct / len(labels)
