"""What a network would add that learns on graphs: it stands beside ``gbdt``, on the same labels.

Two are tried. One is asked for the latency, as BRP-NAS's is (Dudziak et al., arXiv 2007.08859); one
for what ``gbdt`` errs by on networks left out, as the layers of ``mlp`` are. Both pass messages
along a cell's edges and against them, with the same weights in every place, so that isomorphic
cells are alike.

The tables are NAS-Bench-201's: the public ones in the folder that ``LATBENCH_EVAL_DATA`` names,
with 900 labels, and the bundled ones, with 100. Cells without a path from input to output compute
nothing; neither network is fitted on them, and they are not scored.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import latbench
from benchmarks.table import Row
from latbench import resources
from latbench.prediction import conformal, metrics
from latbench.prediction.inputs import FloatArray, IntArray
from latbench.spaces import SearchSpace
from latbench.spaces.nasbench201 import EDGES, OPERATIONS
from latbench.workflows.measured import measured
from latbench.workflows.protocols import public_tables
from latbench.workflows.protocols.nb201_900 import VALIDATION, connected

VARIABLE = "LATBENCH_EVAL_DATA"

_SEEDS, _FOLDS, _FEW, _MANY = 5, 5, 100, 900
_DEVICES = ("gold_6226", "raspi4")
_WIDTH, _LAYERS, _MEMBERS, _EPOCHS, _BATCH, _RATE, _DECAY = 96, 4, 3, 150, 32, 2e-3, 1e-3
_NONE = OPERATIONS.index("none")
_MAPS = 1 + max(end for edge in EDGES for end in edge)
"""Where values are: the cell's input, and its sums."""

Share = Callable[[FloatArray, FloatArray], float]


@dataclass(frozen=True)
class _Table:
    """Latencies y (n,) in ms of cells X (n, 6), and by which share within a band they are scored.

    Where the blocks were measured, ``gbdt`` has them, as in :mod:`benchmarks.predicting`.
    """

    label: str
    space: SearchSpace
    X: IntArray
    y: FloatArray
    block_ms: Mapping[str, float] | None
    labels: int
    left_out: int
    params: Mapping[str, object]
    band: str
    share: Share


def rows() -> Iterator[Row]:
    """Yield a row a table; it earns its place where one of the two is ahead beyond the spreads."""
    for table in (*_public(), *_bundled()):
        found = np.array([_scored(table, seed) for seed in range(_SEEDS)])
        gbdt, alone, behind = found.T
        best = max((alone, behind), key=lambda one: float(one.mean()))
        ahead = best - gbdt
        yield Row(
            f"{table.label}, {table.labels} labels: cells within {table.band} by a graph network",
            "to earn its place, more than `gbdt` by twice the standard error",
            f"alone {_told(alone)}, behind gbdt {_told(behind)}",
            f"gbdt {_told(gbdt)}; {_SEEDS} seeds",
            bool(ahead.mean() > 2 * ahead.std(ddof=1) / _SEEDS**0.5),
        )


def _public() -> Iterator[_Table]:
    folder = os.environ.get(VARIABLE)
    if folder is None:
        print(f"  skipped: {VARIABLE} names no folder of public tables", file=sys.stderr)
        return
    one = public_tables.HELP_NB201
    read = public_tables.load(one, Path(folder), _DEVICES, one.networks)
    cells = connected(read.space, read.X)
    for device in _DEVICES:
        yield _Table(
            f"NAS-Bench-201, `{device}`",
            read.space,
            read.X[cells],
            read.y[device][cells],
            None,
            _MANY,
            VALIDATION,
            {"tolerance": 0.1},
            "10 %",
            lambda y, p: metrics.within_predicted(y, p, 10),
        )


def _bundled() -> Iterator[_Table]:
    for name in resources.datasets():
        if not name.startswith("nasbench201"):
            continue
        store = latbench.dataset(name)
        for target in store.targets():
            found = measured(store, latbench.space("nasbench201"), target)
            cells = connected(found.space, found.X)
            yield _Table(
                f"`{name}`, {target.label}",
                found.space,
                found.X[cells],
                found.y[cells],
                found.block_ms,
                _FEW,
                0,
                {},
                "5 %",
                lambda y, p: metrics.within(y, p, 5),
            )


def _scored(table: _Table, seed: int) -> tuple[float, float, float]:
    """Return the shares in percent of ``gbdt``, of a graph network alone, and of one behind it."""
    shuffled = np.random.default_rng(seed).permutation(len(table.y))
    seen, asked = shuffled[: table.labels], shuffled[table.labels + table.left_out :]

    def gbdt(rows: IntArray, of: IntArray) -> FloatArray:
        predictor = latbench.predictor("gbdt")
        fitted = predictor.for_table(table.space, table.block_ms, **table.params)
        return fitted.fit(table.X[rows], table.y[rows], calibrate=False).predict(table.X[of])

    fold = conformal.folds(conformal.different(table.X[seen])[1], _FOLDS, seed)
    left_out_ms = np.empty(len(seen))
    for number in range(_FOLDS):
        out = fold == number
        left_out_ms[out] = gbdt(seen[~out], seen[out])
    base_ms = gbdt(seen, asked)

    y, cells = table.y, Cells.of(table.X)
    alone = predicted(cells, seen, np.log(y[seen]), asked, seed)
    errors = predicted(cells, seen, np.log(y[seen] / left_out_ms), asked, seed)
    return (
        table.share(y[asked], base_ms),
        table.share(y[asked], np.exp(alone)),
        table.share(y[asked], base_ms * np.exp(errors)),
    )


@dataclass(frozen=True)
class Cells:
    """Cells as graphs of ten nodes: the six edges' operations, the cell's input, and its sums.

    Attributes:
        nodes: features (n, 10, features): one-hot operation, whether a value reaches it, and
            whether the output reads it.
        live: which nodes run, (n, 10): messages are theirs alone, and so is what is read out.
    """

    nodes: Tensor
    live: Tensor

    @classmethod
    def of(cls, X: IntArray) -> Cells:
        """Return the cells of architectures (n, 6)."""
        reached = np.zeros((len(X), _MAPS), dtype=np.bool_)
        read = reached.copy()
        reached[:, 0] = read[:, -1] = True
        passes = X != _NONE
        # Edges are told in the order of the maps they end in, so that one pass each way is enough.
        for edge, (start, end) in enumerate(EDGES):
            reached[:, end] |= reached[:, start] & passes[:, edge]
        for edge, (start, end) in reversed(list(enumerate(EDGES))):
            read[:, start] |= read[:, end] & passes[:, edge]
        starts, ends = np.array(EDGES).T
        fed = np.hstack([reached[:, starts], reached])
        wanted = np.hstack([read[:, ends], read])
        kinds = len(OPERATIONS)
        kind = np.hstack([X, np.tile([kinds] + [kinds + 1] * (_MAPS - 1), (len(X), 1))])
        live = fed & wanted & (kind != _NONE)
        features = np.concatenate([np.eye(kinds + 2)[kind], np.stack([fed, wanted], -1)], axis=-1)
        return cls(torch.tensor(features, dtype=torch.float32), torch.tensor(live).float())


def _along() -> Tensor:
    """Return which node reads which, (10, 10)."""
    reads = torch.zeros(len(EDGES) + _MAPS, len(EDGES) + _MAPS)
    for edge, (start, end) in enumerate(EDGES):
        reads[edge, len(EDGES) + start] = reads[len(EDGES) + end, edge] = 1.0
    return reads


class GraphNetwork(nn.Module):
    """Messages along and against the edges; sums of nodes over the cell; two layers to a number."""

    reads: Tensor

    def __init__(self, features: int) -> None:
        """Draw the weights; the last layer begins at zero."""
        super().__init__()
        self.register_buffer("reads", _along())
        self.begin = nn.Linear(features, _WIDTH)
        self.own = nn.ModuleList(nn.Linear(_WIDTH, _WIDTH) for _ in range(_LAYERS))
        self.fed = nn.ModuleList(nn.Linear(_WIDTH, _WIDTH, bias=False) for _ in range(_LAYERS))
        self.reader = nn.ModuleList(nn.Linear(_WIDTH, _WIDTH, bias=False) for _ in range(_LAYERS))
        self.norms = nn.ModuleList(nn.LayerNorm(_WIDTH) for _ in range(_LAYERS))
        self.head = nn.Sequential(
            nn.Linear(2 * _WIDTH, _WIDTH), nn.ReLU(), last := nn.Linear(_WIDTH, 1)
        )
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, nodes: Tensor, live: Tensor) -> Tensor:
        """Return a number (n,) for the cells ``nodes`` (n, 10, features) and ``live`` (n, 10)."""
        hidden = self.begin(nodes)
        layers = zip(self.own, self.fed, self.reader, self.norms, strict=True)
        for own, fed, reader, norm in layers:
            sent = hidden * live[..., None]
            found = own(hidden) + fed(self.reads @ sent) + reader(self.reads.T @ sent)
            hidden = hidden + norm(found).relu()
        pooled = torch.cat([(hidden * live[..., None]).sum(1), hidden.sum(1)], dim=-1)
        numbers: Tensor = self.head(pooled)[:, 0]
        return numbers


def predicted(
    cells: Cells, seen: IntArray, target: FloatArray, asked: IntArray, seed: int
) -> FloatArray:
    """Return what graph networks, trained on ``target`` of ``seen``, say of ``asked``: their mean.

    Huber's loss on the standardised target; AdamW, with a rate that falls to zero by a cosine.
    """
    middle = float(np.median(target))
    spread = max(float(np.median(np.abs(target - middle))) / 0.6745, 1e-9)
    wanted = torch.tensor((target - middle) / spread, dtype=torch.float32)
    nodes, live = cells.nodes[seen], cells.live[seen]
    told = []
    for member in range(_MEMBERS):
        torch.manual_seed(_MEMBERS * seed + member)
        network = GraphNetwork(nodes.shape[-1])
        optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
        steps = _EPOCHS * -(-len(seen) // _BATCH)
        rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for _ in range(_EPOCHS):
            for rows in torch.split(torch.randperm(len(seen)), _BATCH):
                optimiser.zero_grad()
                loss = nn.functional.huber_loss(network(nodes[rows], live[rows]), wanted[rows])
                torch.autograd.backward(loss)
                optimiser.step()
                rates.step()
        with torch.no_grad():
            parts = [network(cells.nodes[r], cells.live[r]) for r in np.array_split(asked, 8)]
        told.append(torch.cat(parts).numpy().astype(np.float64))
    mean: FloatArray = middle + spread * np.mean(told, axis=0)
    return mean


def _told(shares: FloatArray) -> str:
    return f"{shares.mean():.1f} ± {shares.std(ddof=1):.1f} %"
