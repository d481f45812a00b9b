"""ProxylessNAS: Cai, Zhu and Han, arXiv 1812.00332: binarised paths, and REINFORCE."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from latbench.errors import UsageError
from latbench.hooks.penalties import latency_reward
from latbench.one_shot_searcher import OneShotSearcher
from latbench.spaces.architectures import FloatArray
from latbench.spaces.graph import IntArray
from latbench.spaces.mixing import untracked
from latbench.spaces.options import whole
from latbench.training.alpha import Alpha, draw
from latbench.training.task import SearchTask

_MODES = ("full", "two", "reinforce")
_ALPHA_DEVIATION = 1e-3


class ProxylessNAS(OneShotSearcher):
    """Runs one drawn path a step; candidates that were not drawn keep their statistics and weights.

    Of a weight that candidates share, a path takes a part. The rest has no gradient, and is moved
    by what momentum and decay it has.

    The architecture learns, every few steps, from validation images by one of three ways:

    - ``full``: the gates are a one-hot draw. The gradient of a gate is the inner product of what
      its candidate gives with the gradient of the sum; that of the chances is taken for the gates'
      (equation 4). Candidates that were not drawn run without gradients.
    - ``two``: only two candidates of each place run, drawn without replacement, and share their
      joint chance anew; all other chances stay as they are (section 3.2), but for what a
      ``weight_decay`` moves.
    - ``reinforce``: a policy gradient from the rewards of several drawn networks, with the
      latency in the reward (section 3.3.2) instead of a penalty.

    In ``full`` the latency penalty has its own, exact gradient in all chances, whichever candidates
    were drawn. In ``two`` it has that along the shares of the pair; the paper leaves all other
    chances as they are. In ``reinforce`` there is none: the latencies of the drawn networks are in
    their rewards.
    """

    kind = "proxylessnas"

    def __init__(
        self,
        mode: str = "full",
        rate: float = 0.02,
        weight_decay: float = 0.0,
        every: int = 5,
        warmup: float = 0.25,
        momentum: float = 0.0,
        clip_norm: float = 0.0,
        rate_left: float = 1.0,
        networks: int = 10,
        latency_exponent: float = 0.1,
        decay: float = 0.9,
        finalists: int = 10,
    ) -> None:
        """Store the mode, how the architecture learns, and the networks scored at last.

        The paper's rate is 1e-3 over 120 epochs of ImageNet, after 40 of warm-up; the defaults suit
        some hundred steps.

        Args:
            mode: see the class.
            rate: of Adam for the architecture.
            weight_decay: of the architecture.
            every: steps of the weights for one of the architecture.
            warmup: share of the training before the architecture's first step.
            momentum: Adam's first coefficient; above 0 options move that were not drawn.
            clip_norm: largest norm of the architecture's gradient; 0 for any.
            rate_left: share of the rate that is left at the last step.
            networks: drawn for one step of ``reinforce``.
            latency_exponent: w of the reward ``accuracy * (target / latency) ** w``.
            decay: how slowly the baseline of ``reinforce`` moves.
            finalists: networks scored at last.
        """
        self.mode = mode
        self.rate = rate
        self.weight_decay = weight_decay
        self.every = every
        self.warmup = warmup
        self.momentum = momentum
        self.clip_norm = clip_norm
        self.rate_left = rate_left
        self.networks = networks
        self.latency_exponent = latency_exponent
        self.decay = decay
        self.finalists = finalists

    @property
    def follows_penalty(self) -> bool:
        """See :class:`~latbench.one_shot_searcher.OneShotSearcher`."""
        return self.mode != "reinforce"

    @property
    def unbiased(self) -> bool:
        """See :class:`~latbench.one_shot_searcher.OneShotSearcher`."""
        return self.mode == "reinforce"

    def _check(self, task: SearchTask) -> None:
        super()._check(task)
        if self.mode not in _MODES:
            raise UsageError(f"mode is {self.mode!r}; there are {', '.join(_MODES)}")
        whole("networks", self.networks, 2, 10**6)
        if not 0 <= self.decay < 1:
            raise UsageError(f"decay is {self.decay}; it must be at least 0 and below 1")
        if not (math.isfinite(self.latency_exponent) and self.latency_exponent > 0):
            raise UsageError(f"latency_exponent is {self.latency_exponent}; it must be above zero")

    def _alpha(self, task: SearchTask) -> Alpha:
        return Alpha(task.space, np.random.default_rng([task.seed, 2]), _ALPHA_DEVIATION)

    def _learn_weights(self, images: Tensor, labels: Tensor) -> None:
        state = self.state
        (x,) = draw(self.task.space, self.chances, state.rng, 1)
        logits = state.supernet(images, x)
        state.step_weights(state.losses(logits, labels, smoothed=True).mean())

    def _learn_architecture(self, images: Tensor, labels: Tensor) -> None:
        images, labels = self.state.validation.draw()
        learn = {"full": self._full, "two": self._two, "reinforce": self._reinforce}
        with untracked(self.state.supernet):
            learn[self.mode](images, labels)

    def _full(self, images: Tensor, labels: Tensor) -> None:
        state = self.state
        (x,) = draw(self.task.space, self.chances, state.rng, 1)
        gates = [
            _gate(len(given), int(chosen), given)
            for given, chosen in zip(state.alpha.logits, x, strict=True)
        ]
        logits = state.supernet.mixed(images, gates, learning=[{int(one)} for one in x])
        loss = state.losses(logits, labels).mean()
        slopes = torch.autograd.grad(loss, gates, materialize_grads=True)
        chances = state.alpha.probabilities()
        alphas = list(state.alpha.parameters())
        state.follow(loss, torch.autograd.grad(chances, alphas, slopes))

    def _two(self, images: Tensor, labels: Tensor) -> None:
        state = self.state
        pairs, shares, active, gates = [], [], [], []
        for known in self.chances:
            pair = _draw_two(known, state.rng)
            share = known[pair] / known[pair].sum()
            chosen = int(state.rng.choice(pair, p=share))
            pairs.append(pair)
            shares.append(torch.from_numpy(share).float().to(self.task.device))
            active.append(chosen)
        for logits, chosen in zip(state.alpha.logits, active, strict=True):
            gates.append(_gate(len(logits), chosen, logits))
        output = state.supernet.mixed(
            images,
            gates,
            running=[set(map(int, pair)) for pair in pairs],
            learning=[{chosen} for chosen in active],
        )
        loss = state.losses(output, labels).mean()
        slopes = torch.autograd.grad(loss, gates, materialize_grads=True)
        pull = state.pull(loss)
        chances = state.alpha.probabilities()
        gradients = []
        for pair, share, slope, along, given in zip(
            pairs, shares, slopes, pull.along, chances, strict=True
        ):
            # A shift of the pair's share moves that part of all chances that the pair has.
            both = pull.scale * slope[pair] + float(given.detach()[pair].sum()) * along[pair]
            gradient = torch.zeros_like(slope)
            gradient[pair] = share * (both - (share * both).sum())
            gradients.append(gradient)
        before = [
            logits.detach()[pair].logsumexp(0)
            for logits, pair in zip(state.alpha.logits, pairs, strict=True)
        ]
        state.note("architecture_loss", loss)
        state.step_alpha(gradients)
        with torch.no_grad():
            for logits, pair, was in zip(state.alpha.logits, pairs, before, strict=True):
                logits[pair] -= logits[pair].logsumexp(0) - was

    def _reinforce(self, images: Tensor, labels: Tensor) -> None:
        state, task = self.state, self.task
        X = draw(task.space, self.chances, state.rng, self.networks)
        latencies_ms = task.latency_ms(X)
        with torch.no_grad():
            rewards = [
                self._quality(state.supernet(images, x), labels)
                * latency_reward(float(latency_ms), task.target_ms, self.latency_exponent)
                for x, latency_ms in zip(X, latencies_ms, strict=True)
            ]
        mean = float(np.mean(rewards))
        baseline = state.memory.get("baseline", mean)
        advantages = torch.tensor(rewards) - baseline
        state.memory["baseline"] = self.decay * baseline + (1 - self.decay) * mean
        log_chance = state.alpha.log_chance(X)
        loss = -(advantages.to(log_chance) * log_chance).mean()
        alphas = list(state.alpha.parameters())
        state.note("reward", torch.tensor(mean))
        state.note("expected_ms", torch.tensor(latencies_ms).mean())
        state.step_alpha(torch.autograd.grad(loss, alphas, materialize_grads=True))

    def _quality(self, logits: Tensor, labels: Tensor) -> float:
        """Return the share of images that are right; exp(-loss) where the task has its own loss."""
        if self.task.loss is not None:
            return math.exp(-float(self.state.losses(logits, labels).mean()))
        return float((logits.argmax(1) == labels).double().mean())


def _gate(options: int, chosen: int, like: Tensor) -> Tensor:
    """Return a one-hot gate that can have a gradient."""
    gate = F.one_hot(torch.tensor(chosen), options).to(like.device, like.dtype)
    return gate.requires_grad_()


def _draw_two(chances: FloatArray, rng: np.random.Generator) -> IntArray:
    """Return two options, drawn without replacement; one if there is but one."""
    # The largest of Gumbel-perturbed logarithms are such draws (Yellott, 1977).
    with np.errstate(divide="ignore"):
        noisy = np.log(chances) + rng.gumbel(size=len(chances))
    drawn: IntArray = np.argsort(-noisy, kind="stable")[:2]
    return drawn
