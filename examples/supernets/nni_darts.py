"""A latency with a gradient in NNI's supernet: for a Python that has NNI 3.0 beside latbench.

NNI hands probabilities to its own latency penalty as plain numbers, so that the penalty's gradient
in the architecture parameters is zero. Here the evaluator's ``training_step`` adds latbench's to
the loss instead. NNI takes the same loss for weights and architecture, so the penalty has to be one
that is added: ``additive``, ``add#linear`` or ``hinge``. All that is latbench's are the lines that
make ``expected`` and ``penalised``, and those of ``latency_ms``.
"""

from __future__ import annotations

import torch
from nni.nas.evaluator.pytorch import DataLoader, Lightning, LightningModule, Trainer
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from nni.nas.oneshot.pytorch.supermodule.differentiable import DifferentiableMixedLayer
from nni.nas.strategy import DARTS, Proxyless
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from latbench.hooks import ExpectedLatency, penalty

OPTIONS_MS = {"first": [0.9, 0.4, 0.1], "second": [1.2, 0.5, 0.1]}
"""What each candidate takes, as ``latbench profile --model CANDIDATE.onnx`` measures it."""
FIXED_MS, TARGET_MS = 0.3, 0.4


class Space(ModelSpace):  # type: ignore[misc]
    """Two places of three convolutions each, for grey images."""

    def __init__(self, width: int = 8, classes: int = 10) -> None:
        """Lay out the chain."""
        super().__init__()
        self.first = LayerChoice([_conv(1, width, k) for k in (5, 3, 1)], label="first")
        self.second = LayerChoice([_conv(width, width, k) for k in (5, 3, 1)], label="second")
        self.last = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (n, classes)."""
        logits: Tensor = self.last(self.second(self.first(images)).mean((2, 3)))
        return logits


class Training(LightningModule):  # type: ignore[misc]
    """What users give NNI: the loss of a batch, and the optimiser of the weights."""

    def __init__(self) -> None:
        """Take the table, and penalise what lies above the target."""
        super().__init__()
        self.expected = ExpectedLatency.from_table(OPTIONS_MS, fixed_ms=FIXED_MS)
        self.penalised = penalty("hinge", reference_ms=TARGET_MS, weight=1.0)

    def latency_ms(self) -> Tensor:
        """Return the expected latency, with a gradient in the architecture parameters."""
        layers = [m for m in self.model.modules() if isinstance(m, DifferentiableMixedLayer)]
        alphas = {layer.label: next(layer.arch_parameters()) for layer in layers}
        return self.expected({label: alpha.softmax(-1) for label, alpha in alphas.items()})

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        """Return the loss of a batch, and of the latency."""
        images, labels = batch
        return self.penalised(F.cross_entropy(self.model(images), labels), self.latency_ms())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser of the weights."""
        return torch.optim.SGD(self.parameters(), lr=0.05)


def main() -> None:
    """Search with two strategies; print the latency's gradient in alpha, and what is chosen."""
    torch.manual_seed(0)
    images, labels = map(torch.as_tensor, load_digits(return_X_y=True))
    digits = torch.utils.data.TensorDataset(images.float().reshape(-1, 1, 8, 8) / 16, labels)
    for strategy in (DARTS(arc_learning_rate=0.05), Proxyless(arc_learning_rate=0.05)):
        training = Training()
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = Trainer(max_epochs=3, limit_val_batches=0, enable_model_summary=False, **quiet)
        loader = DataLoader(digits, batch_size=64, shuffle=True)
        evaluator = strategy.mutate_evaluator(Lightning(training, trainer, loader, loader))
        supernet = strategy.mutate_model(Space())
        evaluator.evaluate(supernet)
        searched = evaluator.module
        latency_ms = training.latency_ms()
        gradients = torch.autograd.grad(latency_ms, searched.arch_parameters())
        print(
            f"{type(strategy).__name__}: {latency_ms.item():.2f} ms expected, a gradient in alpha "
            f"of up to {max(float(one.abs().max()) for one in gradients):.2g}, chosen: "
            f"{', '.join(str(option) for option in searched.export().values())}"
        )


def _conv(channels: int, width: int, kernel: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, width, kernel, padding=kernel // 2), nn.ReLU())


if __name__ == "__main__":
    main()
