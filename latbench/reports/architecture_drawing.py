"""An architecture as a drawing: a row a choice, colour for the kernel, length for the expansion."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from latbench.reports.figures import BLUE, GREEN, MUTED, ORANGE, PURPLE, SKY
from latbench.reports.markup import Markup, tag
from latbench.reports.wording import count

_KERNEL = re.compile(r"(?<![a-z])(?:mb\d+)?k(\d+)", re.IGNORECASE)
_EXPANSION = re.compile(r"(?:mb|(?<![a-z])e)(\d+)", re.IGNORECASE)
_NOTHING = frozenset({"skip", "skip_connect", "none", "zero", "identity"})

# A kernel has the same colour in every report.
_KERNEL_COLOURS = {1: SKY, 3: BLUE, 5: ORANGE, 7: GREEN, 9: PURPLE}
_OTHER_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY)

_WIDTH, _ROW, _GAP, _BAR = 760, 21, 9, 15
_LEFT, _LONGEST = 150, 360
_NAME_LENGTH, _OPTION_LENGTH = 20, 32


@dataclass(frozen=True)
class _Bar:
    """How an option is drawn: what its colour stands for, and its length in [0, 1]."""

    kind: str
    colour: str
    length: float


def drawing(choices: Mapping[str, str]) -> Markup:
    """Return an inline SVG of the chosen options, in order, with a legend.

    Options are read by their names, such as ``mb6k5`` or ``k3_e6``: a kernel size gives the
    colour, an expansion the length of the bar. Other names have a colour each, and one length.
    """
    bars = _bars(list(choices.values()))
    legend = {bar.kind: bar.colour for bar in bars.values() if bar.length}
    y = _GAP
    pieces = []
    x = float(_LEFT)
    for kind, colour in sorted(legend.items(), key=lambda one: _natural(one[0])):
        pieces.append(tag("rect", x=x, y=y, width=_BAR, height=_BAR, rx=3, fill=colour))
        pieces.append(_text(x + _BAR + 6, y, _cut(kind, _OPTION_LENGTH)))
        x += _BAR + 30 + 7.5 * min(len(kind), _OPTION_LENGTH)
    y += _ROW + _GAP if legend else 0
    group = None
    for name, option in choices.items():
        stage = name.partition(".")[0]
        y += _GAP if group is not None and stage != group and "." in name else 0
        group = stage
        pieces.append(_row(y, name, option, bars[option]))
        y += _ROW
    return tag(
        "svg",
        tag("title", f"The architecture: {count(len(choices), 'choice')}, from first to last"),
        *pieces,
        class_="drawing",
        role="img",
        viewBox=f"0 0 {_WIDTH} {y + _GAP}",
        width=_WIDTH,
        height=y + _GAP,
        font_size=13,
    )


def _row(y: float, name: str, option: str, bar: _Bar) -> Markup:
    label = _text(_LEFT - 10, y, _cut(name, _NAME_LENGTH), anchor="end", fill=MUTED)
    if not bar.length:
        middle = y + _BAR / 2
        mark = tag(
            "path",
            d=f"M{_LEFT} {middle}h40",
            stroke=MUTED,
            stroke_width=2,
            stroke_dasharray="3 4",
        )
        end = _LEFT + 40.0
    else:
        end = _LEFT + bar.length * _LONGEST
        mark = tag("rect", x=_LEFT, y=y, width=end - _LEFT, height=_BAR, rx=3, fill=bar.colour)
    return tag(
        "g",
        tag("title", f"{name}: {option}"),
        label,
        mark,
        _text(end + 8, y, _cut(option, _OPTION_LENGTH)),
    )


def _bars(options: list[str]) -> dict[str, _Bar]:
    expansions = {option: _number(_EXPANSION, option) for option in options}
    widest = max((one for one in expansions.values() if one is not None), default=None)
    bars = {}
    others: dict[str, str] = {}
    for option in dict.fromkeys(options):
        if option.lower() in _NOTHING:
            bars[option] = _Bar(option, MUTED, 0.0)
            continue
        kernel, expansion = _number(_KERNEL, option), expansions[option]
        if kernel is not None and expansion is not None and widest:
            colour = _KERNEL_COLOURS.get(kernel, MUTED)
            bars[option] = _Bar(f"kernel {kernel}", colour, expansion / widest)
        else:
            colour = _OTHER_COLOURS[len(others) % len(_OTHER_COLOURS)]
            bars[option] = _Bar(option, others.setdefault(option, colour), 0.5)
    return bars


def _number(pattern: re.Pattern[str], option: str) -> int | None:
    found = pattern.search(option)
    return None if found is None else int(found[1])


def _natural(text: str) -> list[tuple[int, str]]:
    return [
        (int(piece), "") if piece.isdecimal() else (0, piece) for piece in re.split(r"(\d+)", text)
    ]


def _text(
    x: float, y: float, text: str, anchor: str = "start", fill: str = "currentColor"
) -> Markup:
    return tag("text", text, x=x, y=y + _BAR - 3, text_anchor=anchor, fill=fill)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
