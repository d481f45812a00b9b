"""One network from inside: what each block takes alone, and its kernels in the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from latbench.reports.figures import BLUE, ORANGE, chart, figure, label
from latbench.reports.markup import Markup, joined, tag
from latbench.reports.tables import latency_column, name_column, number_column, table, text_column
from latbench.reports.wording import Unit, count, latency

_ACROSS = "across borders"


@dataclass(frozen=True)
class BlockInside:
    """One block of the network.

    Attributes:
        place: where it stands.
        block: its key.
        alone_ms: its latency, measured alone; None if it was not measured.
        inside_ms: sum of the network's kernels that compute nothing but this block.
        kernels: how many those are.
        shared: how many more kernels compute a part of it and of another block.
    """

    place: str
    block: str
    alone_ms: float | None
    inside_ms: float
    kernels: int
    shared: int


@dataclass(frozen=True)
class Inside:
    """A network whose compiled graph is known.

    Attributes:
        arch: the architecture as text.
        blocks: in the order of execution.
        across_ms, across: time and number of kernels that compute parts of several blocks.
        inserted_ms, inserted: of kernels that no node asked for, such as layout reorders.
        whole_ms: the whole profiled run; what is not in a kernel of it lies between kernels.
        true_ms: the network's latency, timed without a profiler.
        runs: how many profiled runs the times are medians of.
    """

    arch: str
    blocks: Sequence[BlockInside]
    across_ms: float
    across: int
    inserted_ms: float
    inserted: int
    whole_ms: float
    true_ms: float
    runs: int

    @property
    def alone_ms(self) -> float | None:
        """The accumulated latency; None if a block was not measured."""
        known = [block.alone_ms for block in self.blocks if block.alone_ms is not None]
        return sum(known) if len(known) == len(self.blocks) else None

    @property
    def inside_ms(self) -> float:
        """Sum of the kernels that belong to one block."""
        return sum(block.inside_ms for block in self.blocks)

    @property
    def between_ms(self) -> float:
        """What the profiled run takes beside its kernels, such as launching them."""
        return self.whole_ms - self.inside_ms - self.across_ms - self.inserted_ms


def inside_body(inside: Inside | str) -> Markup:
    """Return the network by block in words, bars and tables, or the sentence why there is none."""
    if isinstance(inside, str):
        return tag("p", inside)
    return joined([tag("p", _meaning(inside)), _chart(inside), _balance(inside), _blocks(inside)])


def _meaning(inside: Inside) -> str:
    return (
        f"The network with the median ratio of accumulated to true latency, {inside.arch}, was "
        f"compiled again and run {count(inside.runs, 'time')} under the runtime's own profiler. "
        f"The profiled run takes {latency(inside.whole_ms)}, the timed one "
        f"{latency(inside.true_ms)}: profiling costs time itself, so compare shares, not digits."
    )


def _chart(inside: Inside) -> Markup:
    places = [label(block.place) for block in inside.blocks]
    unit = Unit.of(value for block in inside.blocks for value in (block.alone_ms, block.inside_ms))
    drawn = chart(f"latency ({unit.name})", "", 150 + 32 * len(places))
    for name, colour, values in (
        ("measured alone", BLUE, [block.alone_ms for block in inside.blocks]),
        ("its kernels in the network", ORANGE, [block.inside_ms for block in inside.blocks]),
    ):
        drawn.add_bar(
            x=unit.values(values),
            y=places,
            orientation="h",
            name=name,
            marker={"color": colour},
            hovertemplate=f"%{{y}}: %{{x:.4g}} {unit.name}<extra>{name}</extra>",
        )
    drawn.update_layout(barmode="group")
    drawn.update_yaxes(autorange="reversed", showgrid=False, ticks="")
    furthest = max(inside.blocks, key=lambda block: abs((block.alone_ms or 0.0) - block.inside_ms))
    return figure(
        drawn,
        "Where the upper bar is longer, the block takes more time alone than in the network: alone "
        "it pays for a run of its own and for reordering its input and output. Kernels that "
        "compute parts of several blocks are in no bar.",
        f"Bar chart of {count(len(places), 'block')}: latency alone and of its kernels in the "
        f"network. They are furthest apart for {furthest.place}.",
    )


def _balance(inside: Inside) -> Markup:
    parts = [
        ("blocks, measured alone and added up", inside.alone_ms),
        ("kernels of one block", inside.inside_ms),
        (f"kernels fused across blocks ({inside.across})", inside.across_ms),
        (f"inserted kernels, such as reorders ({inside.inserted})", inside.inserted_ms),
        ("between kernels, the profiler's own cost included", inside.between_ms),
        ("whole profiled run", inside.whole_ms),
        ("true latency, without profiler", inside.true_ms),
    ]
    values = [value for _, value in parts]
    return table(
        "From the sum of the blocks to the network; the four rows before the last two add up to "
        "the profiled run",
        [
            text_column("What", [name for name, _ in parts]),
            latency_column("Time", values, Unit.of(values)),
        ],
    )


def _blocks(inside: Inside) -> Markup:
    blocks = inside.blocks
    unit = Unit.of(value for block in blocks for value in (block.alone_ms, block.inside_ms))
    return table(
        "The network block by block",
        [
            text_column("Place", [block.place for block in blocks]),
            name_column("Block", [block.block for block in blocks]),
            latency_column("Measured alone", [block.alone_ms for block in blocks], unit),
            latency_column("Kernels in the network", [block.inside_ms for block in blocks], unit),
            latency_column(
                "Alone less in the network",
                [
                    None if block.alone_ms is None else block.alone_ms - block.inside_ms
                    for block in blocks
                ],
                unit,
            ),
            number_column("Kernels", [block.kernels for block in blocks], _number),
            number_column(f"Kernels {_ACROSS}", [block.shared for block in blocks], _number),
        ],
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"
