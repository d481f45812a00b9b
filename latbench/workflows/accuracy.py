"""How exact an exported network still is, in the runtimes and precisions that it may run in."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from latbench import devices, registry
from latbench.errors import LatbenchError, UnavailableError
from latbench.runtimes import Runtime, Session
from latbench.spaces import IntArray, SearchSpace, TensorSpec, Workload
from latbench.spaces.identity import graph_id
from latbench.target import Target
from latbench.workflows.availability import obstacle

if TYPE_CHECKING:
    from onnx import ModelProto

    from latbench.training.data import Split

NOTED_DROP = 0.005
"""Loss of accuracy against fp32, in [0, 1], from which on it is worth a note."""
_NO_ANSWER = -1

Answers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Accuracy:
    """How much of a test split an exported network gets right in one runtime and precision.

    Attributes:
        target: the runtime and the precision asked for.
        images: in the split.
        precision_run: what its compiled graph computes in; None if it did not run.
        accuracy: in [0, 1], images without a finite answer being wrong; None if it did not run.
        changed: images that are told otherwise than in fp32 by ONNX Runtime.
        not_finite: images whose logits are NaN or infinite.
        reason: why it did not run.
    """

    target: Target
    images: int
    precision_run: str | None = None
    accuracy: float | None = None
    changed: int | None = None
    not_finite: int | None = None
    reason: str | None = None

    @property
    def label(self) -> str:
        """The runtime, its options and the precision in words."""
        options = "".join(f", {name}={value}" for name, value in self.target.options)
        return f"{self.target.runtime} {self.target.precision}{options}"

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "runtime": self.target.runtime,
            "options": dict(self.target.options),
            "precision": self.target.precision,
            "precision_run": self.precision_run,
            "accuracy": self.accuracy,
            "changed": self.changed,
            "not_finite": self.not_finite,
            "images": self.images,
            "reason": self.reason,
        }

    def notes(self, fp32: float) -> list[str]:
        """Return what a reader must know of it.

        Args:
            fp32: accuracy in fp32 by ONNX Runtime, in [0, 1].
        """
        if self.accuracy is None:
            return [f"the accuracy on {self.label} is not known: {self.reason}"]
        told = []
        if self.precision_run != self.target.precision:
            told.append(f"{self.label} was asked for, and ran in {self.precision_run}")
        if self.not_finite:
            told.append(
                f"on {self.label} the network gives NaN or infinite logits for {self.not_finite} "
                f"of {self.images} test images, which count as wrong; take a precision with a "
                "wider range, such as fp32"
            )
        if fp32 - self.accuracy >= NOTED_DROP:
            told.append(
                f"accuracy drops from {fp32:.2%} in fp32 to {self.accuracy:.2%} on {self.label}; "
                f"{self.changed} of {self.images} test images are told otherwise"
            )
        return told


def lower_precisions(device: str) -> list[Target]:
    """Return the precisions below fp32 that are here for ``device``, as targets.

    Each by the first runtime of the device's profile that computes in it here.
    """
    profile = devices.profile(device)
    found: dict[str, Target] = {}
    for name in profile.runtimes:
        if obstacle(name, profile) is not None:
            continue
        runtime: Runtime = registry.load(registry.RUNTIMES, name)()
        for precision in runtime.precisions:
            if precision == "fp32" or precision in found:
                continue
            try:
                found[precision] = runtime.target(device, precision)
            except UnavailableError:
                continue  # this processor does not compute in it
    return list(found.values())


def trained_workload(space: SearchSpace, x: IntArray, model: ModelProto, weights: Path) -> Workload:
    """Return a trained network as every runtime can compile it.

    Args:
        space: of the network.
        x: its architecture (choices,).
        model: exported from it, at a fixed batch, with its weights.
        weights: safetensors of its ``state_dict``, for runtimes that do not read ONNX.
    """
    (given,) = model.graph.input
    shape = tuple(dim.dim_value for dim in given.type.tensor_type.shape.dim)
    return Workload(
        id=graph_id(model),
        name=f"{space.name} {space.decode(x)}",
        inputs=(TensorSpec(given.name, shape, "float32"),),
        model=model.SerializeToString(deterministic=True),
        recipe={
            "kind": "network",
            "space": space.spec,
            "arch": [int(value) for value in x],
            "batch": shape[0],
            "weights": str(weights),
        },
        nodes=len(model.graph.node),
    )


def accuracies(workload: Workload, split: Split, targets: Sequence[Target]) -> list[Accuracy]:
    """Return the accuracy of ``workload`` on ``split``, in fp32 by ONNX Runtime, then on targets.

    Each of ``targets`` is compiled and run in this process, with the batch of ``workload`` and the
    threads that torch has here: answers do not depend on them but for rounding.

    Args:
        workload: the trained network with its weights, at a fixed batch.
        split: its images.
        targets: where else to run it. One that fails is told with its reason.

    Raises:
        LatbenchError: ONNX Runtime does not run it in fp32.
    """
    import torch

    engine: Runtime = registry.load(registry.RUNTIMES, "onnxruntime")()
    exact = engine.target(targets[0].device if targets else "cpu")
    batch, threads = workload.inputs[0].shape[0], torch.get_num_threads()
    fp32, *others = dict.fromkeys(
        dataclasses.replace(target, batch=batch, threads=threads) for target in (exact, *targets)
    )
    labels = split.labels.numpy()
    reference, precision_run = _answers(workload, split, fp32)
    found = [_accuracy(fp32, precision_run, reference, reference, labels)]
    for target in others:
        try:
            answers, precision_run = _answers(workload, split, target)
        except LatbenchError as failure:
            found.append(Accuracy(target, len(labels), reason=str(failure)))
        else:
            found.append(_accuracy(target, precision_run, answers, reference, labels))
    return found


def _accuracy(
    target: Target, precision_run: str, answers: Answers, reference: Answers, labels: Answers
) -> Accuracy:
    return Accuracy(
        target=target,
        images=len(labels),
        precision_run=precision_run,
        accuracy=int((answers == labels).sum()) / len(labels),
        changed=int((answers != reference).sum()),
        not_finite=int((answers == _NO_ANSWER).sum()),
    )


def _answers(workload: Workload, split: Split, target: Target) -> tuple[Answers, str]:
    """Return what the network tells of each image on ``target``, and the precision that ran."""
    runtime: Runtime = registry.load(registry.RUNTIMES, target.runtime)()
    with closing(runtime.compile(workload, target)) as session:
        return answers_of(session, workload, split.images.numpy()), session.precision_run


def answers_of(session: Session, workload: Workload, images: npt.NDArray[np.float32]) -> Answers:
    """Return the label of the largest logit of each of ``images``, or -1 where one is not finite.

    The last batch is filled up with zeros.
    """
    (spec,) = workload.inputs
    answers = np.empty(len(images), dtype=np.int64)
    for start in range(0, len(images), spec.shape[0]):
        some = images[start : start + spec.shape[0]]
        filled = np.zeros(spec.shape, dtype=np.float32)
        filled[: len(some)] = some
        logits = session.outputs({spec.name: filled})[0][: len(some)].astype(np.float64)
        told = np.where(np.isfinite(logits).all(axis=1), logits.argmax(axis=1), _NO_ANSWER)
        answers[start : start + len(some)] = told
    return answers
