"""Tables 2 and 3 of HELP (Lee et al., NeurIPS 2021, arXiv 2106.08630), and our methods for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from latbench.workflows.protocols import methods
from latbench.workflows.protocols.methods import Method
from latbench.workflows.protocols.public_tables import HELP_FBNET, HELP_NB201, PublicTable


@dataclass(frozen=True)
class Published:
    """A row of the paper: method, labels of the target, score by device, mean."""

    method: str
    labels: int | None
    scores: tuple[float | None, ...]
    mean: float


@dataclass(frozen=True)
class Table:
    """One of the paper's tables and the data behind it.

    Attributes:
        public: the table of latencies.
        sources: the source devices, columns of it.
        devices: the target devices.
        pool: rows that labels are drawn from, by ``arch_idx``; all of them are labelled on the
            sources.
        queries: rows that are scored.
        ours: our methods by name.
        source: where the published rows stand.
        published: those rows.
    """

    public: PublicTable
    sources: tuple[str, ...]
    devices: tuple[str, ...]
    pool: range
    queries: range
    ours: Mapping[str, Method]
    source: str
    published: tuple[Published, ...]


BASELINES = methods.registered("flops", "params")
"""What everybody has, fitted to the target alone."""

TRANSFERS: dict[str, Method] = {
    "ridge transfer": methods.RidgeTransfer,
    "transfer, labels drawn at random": methods.Transfer,
    "transfer, labels chosen": methods.ChosenTransfer,
}
"""What uses source devices."""

_OTHER_SOURCES = (
    "silver_4114",
    "silver_4210r",
    "samsung_a50",
    "pixel3",
    "essential_ph_1",
    "samsung_s7",
)

NB201 = Table(
    public=HELP_NB201,
    sources=("1080ti_1", "1080ti_32", "1080ti_256", *_OTHER_SOURCES),
    devices=("titan_rtx_256", "gold_6226", "pixel2", "raspi4", "eyeriss", "fpga"),
    pool=range(900),
    queries=range(900, 1900),
    ours={
        **BASELINES,
        "ridge: edges one-hot, operation counts": methods.features(methods.one_hot_and_counts),
        "ridge: operation counts": methods.features(methods.counts),
        **TRANSFERS,
    },
    source="Lee et al., NeurIPS 2021, Table 3",
    published=(
        Published("FLOPs", None, (0.950, 0.826, 0.765, 0.846, 0.437, 0.900), 0.787),
        Published("layer-wise", None, (0.667, 0.866, None, None, None, None), 0.767),
        Published("BRP-NAS", 900, (0.814, 0.796, 0.666, 0.847, 0.811, 0.801), 0.789),
        Published("BRP-NAS", 3200, (0.822, 0.805, 0.693, 0.853, 0.830, 0.828), 0.805),
        Published("HELP", 10, (0.987, 0.989, 0.802, 0.890, 0.940, 0.985), 0.932),
    ),
)

FBNET = Table(
    public=HELP_FBNET,
    sources=("1080ti_1", "1080ti_32", "1080ti_64", *_OTHER_SOURCES),
    devices=("raspi4", "eyeriss", "fpga"),
    pool=range(4000),
    queries=range(4000, 5000),
    ours={
        **BASELINES,
        "ridge: blocks one-hot": methods.features(methods.one_hot),
        "ridge: blocks one-hot, line on MACs": methods.features(methods.one_hot_and_line),
        **TRANSFERS,
    },
    source="Lee et al., NeurIPS 2021, Table 2",
    published=(
        Published("MAML", 10, (0.718, 0.763, 0.727), 0.736),
        Published("Meta-SGD", 10, (0.821, 0.822, 0.776), 0.806),
        Published("HELP", 10, (0.887, 0.943, 0.892), 0.910),
    ),
)
