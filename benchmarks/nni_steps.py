"""Steps of NNI 3.0's one-shot strategies on the `mobilenet` supernet, as its users run them.

For a Python that has NNI and need not have latbench: ``python nni_steps.py SETUP``, where SETUP is
JSON with ``strategy``, ``settings`` (width, depth and first stride of each stage), ``options_ms``
(latencies of the options of each place), ``image_size``, ``classes`` and ``batch``. It answers with
a line of JSON: the largest gradient that NNI's latency penalty has in an architecture parameter.
Then it takes one step a line of its input, of the architecture and of the weights, and answers with
the seconds.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import torch
from nni.mutable import MutableExpression
from nni.nas.evaluator.pytorch import DataLoader, Lightning, LightningModule, Trainer
from nni.nas.hub.pytorch.proxylessnas import ConvBNReLU, DepthwiseSeparableConv, InvertedResidual
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from nni.nas.profiler import ExpressionProfiler
from nni.nas.strategy import DARTS, Proxyless
from pytorch_lightning import Callback
from torch import Tensor, nn

STRATEGIES = {"darts": DARTS, "proxylessnas": Proxyless}


class MobileNet(ModelSpace):  # type: ignore[misc]
    """The `mobilenet` space of latbench from NNI's blocks: the same places and candidates."""

    def __init__(self, settings: Sequence[Sequence[int]], classes: int) -> None:
        """Lay out the chain."""
        super().__init__()
        layers: list[nn.Module] = [ConvBNReLU(3, 32, stride=2), DepthwiseSeparableConv(32, 16)]
        width = 16
        for stage, (out, depth, stage_stride) in enumerate(settings, start=1):
            for place in range(depth):
                stride = stage_stride if place == 0 else 1
                options: dict[str, nn.Module] = {
                    f"mb{expansion}k{kernel}": InvertedResidual(
                        width, out, expansion, kernel, stride
                    )
                    for expansion in (3, 6)
                    for kernel in (3, 5, 7)
                }
                if stride == 1 and width == out:
                    options["skip"] = nn.Identity()
                layers.append(LayerChoice(options, label=f"stage{stage}_{place}"))
                width = out
        layers += [ConvBNReLU(width, 1280, kernel_size=1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.layers = nn.Sequential(*layers, nn.Linear(1280, classes))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (n, classes)."""
        logits: Tensor = self.layers(images)
        return logits


class Table(ExpressionProfiler):  # type: ignore[misc]
    """The expected latency as NNI has it: a sum of what the option of each place takes."""

    def __init__(self, model: MobileNet, options_ms: Sequence[Sequence[float]]) -> None:
        """Write the sum down."""
        super().__init__(model)
        places = [layer for layer in model.layers if isinstance(layer, LayerChoice)]
        self.expression = sum(
            MutableExpression.switch_case(place.choice, dict(zip(place.names, row, strict=True)))
            for place, row in zip(places, options_ms, strict=True)
        )


class Training(LightningModule):  # type: ignore[misc]
    """The loss and the optimiser that latbench has for weights."""

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        """Return the loss of a batch."""
        images, labels = batch
        return nn.functional.cross_entropy(self.model(images), labels, label_smoothing=0.1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Nesterov SGD."""
        weights = self.parameters()
        return torch.optim.SGD(weights, lr=0.1, momentum=0.9, weight_decay=4e-5, nesterov=True)


class Turns(Callback):  # type: ignore[misc]
    """Lets a step begin when a line comes, and answers with its seconds."""

    def __init__(self, answer: Any) -> None:
        """Answer by ``answer(value)``."""
        self._answer = answer

    def on_train_batch_start(self, *_: Any) -> None:
        """Wait for a turn."""
        if not sys.stdin.readline():
            os._exit(0)  # a regular end would save and report what nobody asks for
        self._start = time.perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:
        """Tell how long it took."""
        self._answer(time.perf_counter() - self._start)


def main() -> None:
    setup = json.loads(sys.argv[1])
    # What libraries print goes elsewhere.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(value: object) -> None:
        print(json.dumps(value), file=answers)

    torch.set_num_threads(1)
    torch.manual_seed(0)
    size = setup["image_size"]
    model = MobileNet(setup["settings"], setup["classes"])
    penalty = {"profiler": Table(model, setup["options_ms"]), "baseline": 1.0}
    strategy = STRATEGIES[setup["strategy"]](penalty=penalty, gradient_clip_val=5.0)
    images = torch.randn(4 * setup["batch"], 3, size, size)
    labels = torch.randint(setup["classes"], (len(images),))
    loader = DataLoader(torch.utils.data.TensorDataset(images, labels), batch_size=setup["batch"])
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(max_epochs=10**6, callbacks=[Turns(answer)], limit_val_batches=0, **quiet)
    evaluator = strategy.mutate_evaluator(Lightning(Training(), trainer, loader, loader))
    model = strategy.mutate_model(model)
    evaluator.module.set_model(model)
    answer(_gradient(evaluator.module))
    evaluator.evaluate(model)


def _gradient(searching: Any) -> float:
    """Return the largest gradient of the latency penalty in an architecture parameter."""
    alphas = searching.arch_parameters()
    loss, _ = searching.penalty(torch.zeros((), requires_grad=True), searching.export_probs())
    found = torch.autograd.grad(loss, alphas, allow_unused=True)
    return max(0.0 if one is None else float(one.abs().max()) for one in found)


if __name__ == "__main__":
    main()
