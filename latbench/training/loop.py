"""The training loop that supernets and single networks share.

Every draw comes from one NumPy generator, whose state a checkpoint holds; torch's own generator
is set aside meanwhile, so that layers such as dropout repeat too and the caller's draws do not
change. On a CPU an interrupted and resumed training equals an uninterrupted one bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latbench.errors import LatbenchError, UsageError
from latbench.training.batches import Batches
from latbench.training.callbacks import Callback, Callbacks, Training
from latbench.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from latbench.training.config import ONE_SHOT, TrainConfig
from latbench.training.data import ImageData
from latbench.training.placement import place
from latbench.training.saving import Pace

Forward = Callable[[Tensor, np.random.Generator], Tensor]
History = list[dict[str, float]]


def fit(
    module: nn.Module,
    forward: Forward,
    data: ImageData,
    config: TrainConfig,
    *,
    identity: Mapping[str, Any],
    title: str = "training",
    callbacks: Iterable[Callback] = (),
    checkpoint: Path | None = None,
    device: str = "cpu",
) -> History:
    """Train ``module`` in place by cross-entropy, and leave it on ``device`` in evaluation mode.

    Args:
        module: holds the weights.
        forward: gives logits for images; it may draw from the generator it is handed.
        data: its training split is used.
        config: how to train.
        identity: JSON values that the outcome depends on beside ``config`` and ``data``.
        title: what is trained, for callbacks.
        callbacks: listeners.
        checkpoint: file to keep the state in. If it exists, training goes on from it.
        device: where to train, such as ``cpu`` or ``cuda``.

    Returns:
        One row a report: ``step``, and the mean ``loss``, ``grad_norm`` and ``lr`` since the last.

    Raises:
        UsageError: ``config`` has settings that only one-shot searches have.
        ArtefactError: the checkpoint is damaged or belongs to another training.
        LatbenchError: a loss or a gradient is not finite; names the step and the last good state.
    """
    for name in ONE_SHOT:
        if getattr(config, name) != getattr(TrainConfig, name):
            raise UsageError(
                f"{name} is for one-shot searches; leave it out of the training of the {title}"
            )
    total = config.total_steps(len(data.train))
    whole = {**identity, "config": config.to_dict(), "data": data.identity}
    listeners = Callbacks(callbacks)
    # Naming the devices keeps torch from warning about machines with many.
    with (
        torch.random.fork_rng(devices=range(torch.cuda.device_count())),
        listeners.during(Training(title, total)) as events,
    ):
        torch.manual_seed(config.seed)
        place(module, device)
        module.train()
        run = _Run(module, forward, data.to(device), config, total, whole, checkpoint)
        run.resume()
        while run.step < total:
            run.advance()
            if run.step % config.report_every == 0 or run.step == total:
                run.report(events)
                run.save()
        module.eval()
        events.on_end(run.history)
    return run.history


class _Run:
    """One training under way."""

    def __init__(
        self,
        module: nn.Module,
        forward: Forward,
        data: ImageData,
        config: TrainConfig,
        total: int,
        identity: Mapping[str, Any],
        checkpoint: Path | None,
    ) -> None:
        self.module, self.forward, self.config, self.total = module, forward, config, total
        self.identity, self.checkpoint = identity, checkpoint
        self.rng = np.random.default_rng(config.seed)
        self.batches = Batches(data.train, config.batch, self.rng)
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.optimizer = sgd(self.parameters, config)
        self.step = 0
        self.history: History = []
        self.pending: list[Tensor] = []
        self.pace = Pace()
        self.saved_step: int | None = None

    def advance(self) -> None:
        """Take one step."""
        set_sgd(self.optimizer, self.config, self.config.lr_at(self.step, self.total))
        # None, not zero: a weight that took no part must feel neither decay nor momentum.
        self.optimizer.zero_grad(set_to_none=True)
        losses = [self.backward() for _ in range(self.config.accumulate)]
        norm = nn.utils.clip_grad_norm_(self.parameters, self.config.clip_norm)
        self.optimizer.step()
        self.step += 1
        # Looked at in report(), since reading them now would wait for an accelerator each step.
        self.pending.append(torch.stack([torch.stack(losses).mean(), norm]))

    def backward(self) -> Tensor:
        """Add a batch's part of the gradient of a step, and return the batch's loss."""
        images, labels = self.batches.draw()
        logits = self.forward(images, self.rng)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.config.label_smoothing)
        (loss / self.config.accumulate).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def report(self, events: Callback) -> None:
        """Check the steps since the last report and tell of them."""
        rows = torch.stack(self.pending).double().cpu()
        bad = ~torch.isfinite(rows).all(dim=1)
        if bad.any():
            first = int(bad.int().argmax())
            step = self.step - len(rows) + first + 1
            raise LatbenchError(
                f"training broke down at step {step}: the loss is {rows[first, 0]:g}, the norm of "
                f"its gradient {rows[first, 1]:g}; {self._last_good()}. Lower lr "
                f"({self.config.lr:g}) or clip_norm ({self.config.clip_norm:g})"
            )
        self.pending.clear()
        loss, norm = rows.mean(dim=0).tolist()
        metrics = {"loss": loss, "grad_norm": norm, "lr": self.optimizer.param_groups[0]["lr"]}
        self.history.append({"step": self.step, **metrics})
        events.on_step(self.step, metrics)

    def _last_good(self) -> str:
        if self.checkpoint is None:
            return "no checkpoint was kept"
        if self.saved_step is None:
            return f"nothing was saved to {self.checkpoint} before"
        return f"the last good state, of step {self.saved_step}, is in {self.checkpoint}"

    def save(self) -> None:
        """Write the checkpoint if there is one and it is time; the last step always is."""
        if self.checkpoint is None or not (self.pace.due() or self.step == self.total):
            return
        started = time.monotonic()
        state = Checkpoint(self.step)
        state.put_tensors("weights", self.module.state_dict())
        state.put_optimizer("optimizer", self.optimizer)
        state.tensors["order"] = self.batches.order
        state.tensors["torch_rng"] = torch.get_rng_state()
        state.values["position"] = self.batches.position
        state.values["numpy_rng"] = self.rng.bit_generator.state
        state.values["history"] = self.history
        write_checkpoint(self.checkpoint, state, self.identity)
        self.saved_step = self.step
        self.pace.saved(started)

    def resume(self) -> None:
        """Go on from the checkpoint if its file exists."""
        if self.checkpoint is None or not self.checkpoint.exists():
            return
        state = read_checkpoint(self.checkpoint, self.identity)
        self.module.load_state_dict(state.get_tensors("weights"))
        state.get_optimizer("optimizer", self.optimizer)
        self.batches.order = state.tensors["order"]
        self.batches.position = state.values["position"]
        torch.set_rng_state(state.tensors["torch_rng"])
        self.rng.bit_generator.state = state.values["numpy_rng"]
        self.history = state.values["history"]
        self.step = self.saved_step = state.step


def sgd(parameters: Iterable[nn.Parameter], config: TrainConfig) -> torch.optim.SGD:
    """Return Nesterov SGD with decay on matrices and kernels only."""
    listed = list(parameters)
    groups = [
        {"params": [p for p in listed if decays(p)], "weight_decay": config.weight_decay},
        {"params": [p for p in listed if not decays(p)], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=True)


def decays(parameter: nn.Parameter) -> bool:
    """Return whether weight decay is for ``parameter``: a matrix or a kernel."""
    return parameter.ndim > 1


def set_sgd(optimizer: torch.optim.SGD, config: TrainConfig, lr: float) -> None:
    """Have an optimiser of :func:`sgd` take its next step by ``config``, at the rate ``lr``."""
    for group in optimizer.param_groups:
        group["lr"], group["momentum"] = lr, config.momentum
    decaying, _ = optimizer.param_groups
    decaying["weight_decay"] = config.weight_decay
