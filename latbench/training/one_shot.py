"""The state of a one-shot search: weights and architecture parameters, their optimisers, the draws.

Every draw comes from one NumPy generator; a checkpoint holds it with everything else, so that on a
CPU an interrupted and resumed search equals an uninterrupted one bit for bit.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latbench.errors import LatbenchError, UsageError
from latbench.spaces.mixing import MixedNetwork
from latbench.training.alpha import Alpha, entropy
from latbench.training.batches import Batches
from latbench.training.callbacks import Callback
from latbench.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from latbench.training.config import AlphaConfig, TrainConfig
from latbench.training.data import ImageData
from latbench.training.latency_pull import LatencyPull, latency_pull
from latbench.training.loop import decays, set_sgd, sgd
from latbench.training.notes import Notes
from latbench.training.placement import place
from latbench.training.saving import Pace
from latbench.training.task import Drawing, SearchTask


class OneShotState:
    """A one-shot search under way.

    Attributes:
        task: what is searched for; an expected latency that draws does so from ``rng``.
        alpha: the architecture parameters.
        weights: the parameters of the supernet that learn.
        train, validation: batches of the two splits.
        rng: the generator of every draw.
        step: steps that are done.
        total: steps in all.
        memory: further numbers that an algorithm keeps, such as a baseline.
        history: one row a report, as callbacks hear them.
    """

    def __init__(
        self,
        task: SearchTask,
        alpha: Alpha,
        config: AlphaConfig,
        weights: Sequence[nn.Parameter] | None = None,
    ) -> None:
        """Begin at step 0.

        Args:
            task: what is searched for.
            alpha: the architecture parameters.
            config: how these learn.
            weights: the parameters of the supernet that learn; all by default.

        Raises:
            UsageError: the task has no supernet or no data, a batch is larger than a split, or
                there are settings for a warm-up and no warm-up.
        """
        self.alpha, self._config = alpha, config
        self.supernet, data = _required(task)
        place(self.supernet, task.device)
        alpha.to(task.device)
        self.supernet.train()
        self.training = task.train or TrainConfig(seed=task.seed)
        if self.training.warmup is not None and not config.warmup:
            raise UsageError(
                "the training has settings for a warm-up, and warmup of the searcher is 0; give it "
                "a share of the training, or leave those settings out"
            )
        self.total = self.training.total_steps(len(data.train))
        self.rng = np.random.default_rng([task.seed, self.training.seed])
        if isinstance(task.expected, Drawing):
            task = dataclasses.replace(task, expected=task.expected.drawing_from(self.rng))
        self.task = task
        here = data.to(task.device)
        batch = self.training.batch
        self.train = Batches(here.train, batch, self.rng)
        self.validation = Batches(here.validation, min(batch, len(here.validation)), self.rng)
        learning = self.supernet.parameters() if weights is None else weights
        self.weights = [p for p in learning if p.requires_grad]
        self._weight_optimizer = sgd(self.weights, self.training)
        self._alpha_optimizer = torch.optim.Adam(
            alpha.parameters(),
            lr=config.rate,
            betas=(config.momentum, 0.999),
            weight_decay=config.weight_decay,
        )
        self.step = 0
        self.memory: dict[str, float] = {}
        self.history: list[dict[str, float]] = []
        self._accumulated = 0
        self._gathered: list[Sequence[Tensor]] | None = None
        self._notes = Notes()
        self._pace = Pace()
        self._saved: tuple[int, Path] | None = None

    @property
    def architecture_is_due(self) -> bool:
        """Whether this step is one in which the architecture learns."""
        return not self._warming_up(self.step) and self.step % self._config.every == 0

    @property
    def lr(self) -> float:
        """The learning rate of the weights at this step."""
        return self._training_at(self.step).lr_at(self.step, self.total)

    @property
    def pass_ended(self) -> bool:
        """Whether a pass over the training images, or the training, ended with the last step."""
        images = len(self.train.split)
        before, now = (self.training.passes_after(n, images) for n in (self.step - 1, self.step))
        return now > before or self.step == self.total

    def _warming_up(self, step: int) -> bool:
        return step < self._config.warmup * self.total

    def _training_at(self, step: int) -> TrainConfig:
        """Return the settings that the weights learn by in ``step``, counted from 0."""
        return self.training.in_warmup() if self._warming_up(step) else self.training

    @property
    def momenta(self) -> list[Tensor | None]:
        """The momentum of each of :attr:`weights`; None before its first step."""
        return [self._weight_optimizer.state[p].get("momentum_buffer") for p in self.weights]

    def uniform(self, *shape: int) -> Tensor:
        """Return draws from (0, 1), neither end among them, of ``shape``."""
        drawn = self.rng.random(shape)
        # The ends of single precision: the noise of Gumbel is finite and hardly cut.
        least = np.finfo(np.float32).tiny
        clipped = np.clip(drawn, least, 1 - np.finfo(np.float32).epsneg)
        return torch.from_numpy(clipped).to(self.task.device, torch.float32)

    @property
    def decays(self) -> list[float]:
        """The weight decay of each of :attr:`weights` at this step."""
        decay = self._training_at(self.step).weight_decay
        return [decay if decays(p) else 0.0 for p in self.weights]

    # Losses

    def losses(self, logits: Tensor, labels: Tensor, smoothed: bool = False) -> Tensor:
        """Return the task's loss of each image, (n,).

        Args:
            logits: (n, classes).
            labels: (n,).
            smoothed: whether the labels are smoothed, as weights are trained.
        """
        if self.task.loss is not None:
            return self.task.loss(logits, labels)
        smoothing = self.training.label_smoothing if smoothed else 0.0
        return F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")

    def pull(self, task_loss: Tensor) -> LatencyPull:
        """Return what the latency penalty does to the gradient of the architecture.

        Args:
            task_loss: the loss that the penalty is added to or multiplied with.
        """
        found = latency_pull(self.task, self.alpha.probabilities(), task_loss)
        if found.expected_ms is not None:
            self.note("expected_ms", found.expected_ms)
        return found

    def follow(self, task_loss: Tensor, gradients: Sequence[Tensor]) -> None:
        """Take a step of the architecture, down the task's loss and the latency penalty.

        Args:
            task_loss: the task's loss.
            gradients: its gradient in each parameter of :attr:`alpha`.
        """
        pull = self.pull(task_loss)
        self.alpha.zero_grad(set_to_none=True)
        torch.autograd.backward(self.alpha.probabilities(), pull.along)
        both = [
            pull.scale * gradient + (0 if p.grad is None else p.grad)
            for p, gradient in zip(self.alpha.parameters(), gradients, strict=True)
        ]
        self.note("architecture_loss", task_loss)
        self.step_alpha(both)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Have all steps of the architecture inside be one, against their mean, at the end.

        Raises:
            UsageError: there were none.
        """
        self._gathered = []
        try:
            yield
            gathered = self._gathered
        finally:
            self._gathered = None
        if not gathered:
            raise UsageError(
                f"alpha_accumulate is {self.training.alpha_accumulate}, and the architecture "
                "learns with the weights, from the same batches; give accumulate instead"
            )
        self.step_alpha([torch.stack(each).mean(0) for each in zip(*gathered, strict=True)])

    def step_alpha(self, gradients: Sequence[Tensor]) -> None:
        """Take a step of the architecture against ``gradients``, one for each of its parameters.

        Inside :meth:`averaged` it is a part of the step that is taken at the end.

        Raises:
            LatbenchError: they are not finite.
        """
        if self._gathered is not None:
            self._gathered.append(gradients)
            return
        for parameter, gradient in zip(self.alpha.parameters(), gradients, strict=True):
            parameter.grad = gradient
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        if not bool(torch.isfinite(norm)):
            # A step along it would leave no chances, and an error that speaks of something else.
            raise self._broken("norm of the architecture's gradient", self.step, float(norm))
        self.note("architecture_grad", norm)
        if self._config.clip_norm:
            nn.utils.clip_grad_norm_(self.alpha.parameters(), self._config.clip_norm)
        for group in self._alpha_optimizer.param_groups:
            group["lr"] = self._config.rate_at(self.step, self.total)
        self._alpha_optimizer.step()
        self.alpha.zero_grad(set_to_none=True)

    def step_weights(self, loss: Tensor) -> list[Tensor] | None:
        """Take a step of the weights down ``loss``; what had no part in it stays as it is.

        Where ``training.accumulate`` batches make a step, it is taken with the last of them, down
        the mean of their losses.

        Returns:
            The gradient of that in each parameter of :attr:`alpha`, which does not move; None while
            batches of the step are missing.
        """
        if not self._accumulated:
            self._weight_optimizer.zero_grad(set_to_none=True)
        # Named, because what does not learn must not gather gradients either.
        learning = [*self.weights, *self.alpha.parameters()]
        torch.autograd.backward(loss / self.training.accumulate, inputs=learning)
        self.note("loss", loss)
        self._accumulated = (self._accumulated + 1) % self.training.accumulate
        if self._accumulated:
            return None
        training = self._training_at(self.step)
        set_sgd(self._weight_optimizer, training, self.lr)
        norm = nn.utils.clip_grad_norm_(self.weights, training.clip_norm)
        self._weight_optimizer.step()
        self.note("grad_norm", norm)
        gradients = [
            torch.zeros_like(p) if p.grad is None else p.grad for p in self.alpha.parameters()
        ]
        self.alpha.zero_grad(set_to_none=True)
        return gradients

    # Telling and saving

    def note(self, name: str, value: Tensor) -> None:
        """Keep a number of this step for the next report."""
        self._notes.add(name, self.step, value)

    def report(self, events: Callback) -> None:
        """Check what was noted since the last report, and tell of it.

        Raises:
            LatbenchError: a number is not finite.
        """
        bad = self._notes.first_bad()
        if bad is not None:
            raise self._broken(*bad)
        chances = self.alpha.chances()
        row = {**self._notes.means(), "lr": self.lr, "entropy": entropy(chances)}
        self._notes.clear()
        self.history.append({"step": self.step, **row})
        events.on_step(self.step, row)
        events.on_chances(self.step, self.task.space.by_choice(chances))

    def report_pass(self, events: Callback) -> None:
        """Tell of the chances at the end of a pass over the training images."""
        events.on_pass(self.step, self.task.space.by_choice(self.alpha.chances()))

    def _broken(self, name: str, step: int, value: float) -> LatbenchError:
        """Return what is raised where ``name`` of ``step``, counted from 0, is not finite."""
        saved = "no state was saved before"
        if self._saved is not None:
            done, path = self._saved
            saved = f"the last good state, of step {done}, is in the checkpoint {path}"
        return LatbenchError(
            f"the search broke down at step {step + 1}: the {name} is {value:g}; {saved}. Lower lr "
            f"({self._training_at(step).lr:g}) or the rate of the architecture "
            f"({self._config.rate:g})"
        )

    def save_if_due(self, path: Path | None, identity: Mapping[str, Any]) -> None:
        """Write the checkpoint if there is one and it is time; the last step always is."""
        if path is not None and (self._pace.due() or self.step == self.total):
            started = time.monotonic()
            self.save(path, identity, {})
            self._pace.saved(started)

    def save(self, path: Path, identity: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Write all there is to ``path``, with further JSON ``values``."""
        state = Checkpoint(self.step)
        state.put_tensors("weights", self.supernet.state_dict())
        state.put_tensors("alpha", self.alpha.state_dict())
        state.put_optimizer("weight_optimizer", self._weight_optimizer)
        state.put_optimizer("alpha_optimizer", self._alpha_optimizer)
        for name, batches in (("train", self.train), ("validation", self.validation)):
            state.tensors[f"order/{name}"] = batches.order
            state.values[f"position/{name}"] = batches.position
        state.tensors["torch_rng"] = torch.get_rng_state()
        state.values["numpy_rng"] = self.rng.bit_generator.state
        state.values["memory"] = self.memory
        state.values["history"] = self.history
        state.values["more"] = dict(values)
        write_checkpoint(path, state, identity)
        self._saved = self.step, path

    def resume(self, path: Path, identity: Mapping[str, Any]) -> dict[str, Any]:
        """Go on from ``path``; return the further values that were saved with it.

        Raises:
            ArtefactError: the file is damaged, or belongs to another search.
        """
        state = read_checkpoint(path, identity)
        self.supernet.load_state_dict(state.get_tensors("weights"))
        self.alpha.load_state_dict(state.get_tensors("alpha"))
        state.get_optimizer("weight_optimizer", self._weight_optimizer)
        state.get_optimizer("alpha_optimizer", self._alpha_optimizer)
        for name, batches in (("train", self.train), ("validation", self.validation)):
            batches.order = state.tensors[f"order/{name}"]
            batches.position = state.values[f"position/{name}"]
        torch.set_rng_state(state.tensors["torch_rng"])
        self.rng.bit_generator.state = state.values["numpy_rng"]
        self.memory = state.values["memory"]
        self.history = state.values["history"]
        self.step = state.step
        self._saved = self.step, path
        more: dict[str, Any] = state.values["more"]
        return more


def _required(task: SearchTask) -> tuple[MixedNetwork, ImageData]:
    if task.supernet is None or task.data is None:
        missing = "supernet" if task.supernet is None else "data"
        raise UsageError(f"a one-shot search trains a supernet; give the task its {missing}")
    return task.supernet, task.data
