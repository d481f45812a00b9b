"""Weight entanglement: candidates of one place share one weight, and each takes its slice of it.

A supernet whose candidates have weights of their own trains each of them in a fraction of its
steps, and what follows sees a different function for every candidate before it. With one weight
for all, every step trains them together: of a convolution, fewer channels take the first ones and
smaller kernels the centre (Chen et al., *AutoFormer*, arXiv 2107.00651, section 3.2; the kernels as
in Stamoulis et al., *Single-Path NAS*, arXiv 1904.02877). Batch norm stays each candidate's own (Yu
et al., *Slimmable networks*, arXiv 1812.08928), because its statistics are.

To an optimiser the shared weight is one parameter. What a path does not take of it has a gradient
of zero, so that momentum and decay go on moving it.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


class SlicedConv2d(nn.Module):
    """A convolution without bias, "same" padded, whose weight is a slice of a shared one."""

    def __init__(self, like: nn.Conv2d, shared: nn.Parameter) -> None:
        """Take from ``shared`` (width, channels, k, k) what a convolution ``like`` this needs."""
        super().__init__()
        self.weight = shared
        self.groups = like.groups
        self.stride = like.stride
        self._width, self._channels, edge, _ = like.weight.shape
        self._radius = edge // 2

    @property
    def slice(self) -> Tensor:
        """Its part of the shared weight: the first channels, the centre of the kernel."""
        return self._centre(self._radius, self._radius)

    def _centre(self, down: int, across: int) -> Tensor:
        """Return the part of which the kernel reaches so far from its middle."""
        middle = self.weight.shape[2] // 2
        rows = slice(middle - down, middle + down + 1)
        columns = slice(middle - across, middle + across + 1)
        return self.weight[: self._width, : self._channels, rows, columns]

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of ``x`` (n, channels, h, w)."""
        # Beyond a small map a kernel meets nothing but padding, and takes far longer for it.
        down, across = (min(self._radius, size - 1) for size in x.shape[2:])
        weight = self._centre(down, across)
        alone = down == across == 0 and self.stride == (1, 1) and self.groups == 1
        if alone and x.device.type == "cpu":
            # Each pixel alone: a matrix product, which takes less time than oneDNN's convolution.
            return F.linear(x.movedim(1, -1), weight.flatten(1)).movedim(-1, 1)
        return F.conv2d(x, weight, None, self.stride, (down, across), groups=self.groups)


def entangle(members: Sequence[nn.Module]) -> None:
    """Let modules with the same layers, that differ in channels and kernels, share weights.

    Args:
        members: changed in place; their convolutions have no bias, square kernels of odd size that
            are not dilated, and "same" padding.
    """
    layers = [
        [name for name, module in member.named_modules() if isinstance(module, nn.Conv2d)]
        for member in members
    ]
    for names in zip(*layers, strict=True):
        convolutions = [
            member.get_submodule(name) for member, name in zip(members, names, strict=True)
        ]
        shapes = [tuple(one.get_parameter("weight").shape) for one in convolutions]
        width, channels, height, _ = map(max, zip(*shapes, strict=True))
        # Drawn as a convolution of that size would be.
        shared = nn.Conv2d(channels, width, height, bias=False).get_parameter("weight")
        for member, name, like in zip(members, names, convolutions, strict=True):
            assert isinstance(like, nn.Conv2d)
            _replace(member, name, SlicedConv2d(like, shared))


def own_state(module: nn.Module) -> dict[str, Tensor]:
    """Return the state of ``module`` with every shared weight cut to its slice.

    It fits the module as it was before :func:`entangle`.
    """
    state = dict(module.state_dict())
    for name, part in module.named_modules():
        if isinstance(part, SlicedConv2d):
            state[f"{name}.weight"] = part.slice.detach()
    return state


def _replace(root: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(root.get_submodule(parent), last, module)
