"""An architecture as a drawing: a row a choice, colour for the kernel, length for the expansion."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from latbench.reports.figures import BLUE, FONT, GREEN, INK, MUTED, ORANGE, PURPLE, SKY
from latbench.reports.markup import Markup, tag
from latbench.reports.wording import count, finite

_KERNEL = re.compile(r"(?<![a-z])(?:mb\d+)?k(\d+)", re.IGNORECASE)
_EXPANSION = re.compile(r"(?:mb|(?<![a-z])e)(\d+)", re.IGNORECASE)
_NOTHING = frozenset({"skip", "skip_connect", "none", "zero", "identity"})

# A kernel has the same colour in every report.
_KERNEL_COLOURS = {1: SKY, 3: BLUE, 5: ORANGE, 7: GREEN, 9: PURPLE}
_OTHER_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY)

_ROW, _GAP, _BAR = 21, 9, 15
_CHARACTER = 8.2
"""Width of a character of 13 pixels, on the safe side."""
_LONGEST = 190
_NAME_LENGTH, _OPTION_LENGTH = 20, 32


@dataclass(frozen=True)
class _Bar:
    """How an option is drawn: what its colour stands for, and its length in [0, 1]."""

    kind: str
    colour: str
    length: float


@dataclass(frozen=True)
class _Row:
    """A choice: its name, what is chosen, and how that is drawn and written."""

    name: str
    option: str
    bar: _Bar
    text: str


def drawing(choices: Mapping[str, str], chances: Mapping[str, float] | None = None) -> Markup:
    """Return an SVG of the chosen options, in order, with a legend; it may stand in a file.

    Options are read by their names, such as ``mb6k5`` or ``k3_e6``: a kernel size gives the
    colour, an expansion the length of the bar. Other names have a colour each, and one length.

    Args:
        choices: choice -> option.
        chances: choice -> how likely that option is, in [0, 1], written beside it.
    """
    bars = _bars(list(choices.values()))
    rows = [
        _Row(name, option, bars[option], _cut(option, _OPTION_LENGTH) + _share(name, chances))
        for name, option in choices.items()
    ]
    left = _wide(max((_cut(row.name, _NAME_LENGTH) for row in rows), key=len, default="")) + 10
    texts = max((_wide(row.text) for row in rows), default=0.0)
    width = round(left + _LONGEST + 8 + texts + _GAP)
    legend = {bar.kind: bar.colour for bar in bars.values() if bar.length}
    pieces, y = _legend(legend, width)
    group = None
    for row in rows:
        stage = row.name.partition(".")[0]
        y += _GAP if group is not None and stage != group and "." in row.name else 0
        group = stage
        pieces.append(_drawn(row, left, y))
        y += _ROW
    return tag(
        "svg",
        tag("title", f"The architecture: {count(len(choices), 'choice')}, from first to last"),
        # A viewer may have a dark page.
        tag("rect", width="100%", height="100%", fill="white"),
        *pieces,
        xmlns="http://www.w3.org/2000/svg",
        class_="drawing",
        role="img",
        viewBox=f"0 0 {width} {y + _GAP}",
        width=width,
        height=y + _GAP,
        font_size=13,
        font_family=FONT,
    )


def _legend(colours: Mapping[str, str], width: float) -> tuple[list[Markup], float]:
    """Return what explains the colours, in lines of ``width``, and where the next line begins."""
    pieces: list[Markup] = []
    x, y = float(_GAP), float(_GAP)
    for kind, colour in sorted(colours.items(), key=lambda one: _natural(one[0])):
        name = _cut(kind, _OPTION_LENGTH)
        needed = _BAR + 6 + _wide(name)
        if x > _GAP and x + needed > width:
            x, y = float(_GAP), y + _ROW
        pieces.append(tag("rect", x=x, y=y, width=_BAR, height=_BAR, rx=3, fill=colour))
        pieces.append(_text(x + _BAR + 6, y, name))
        x += needed + 14
    return pieces, y + (_ROW + _GAP if colours else 0)


def _drawn(row: _Row, left: float, y: float) -> Markup:
    label = _text(left - 10, y, _cut(row.name, _NAME_LENGTH), anchor="end", fill=MUTED)
    if not row.bar.length:
        middle = y + _BAR / 2
        mark = tag(
            "path", d=f"M{left} {middle}h40", stroke=MUTED, stroke_width=2, stroke_dasharray="3 4"
        )
        end = left + 40.0
    else:
        end = left + row.bar.length * _LONGEST
        mark = tag("rect", x=left, y=y, width=end - left, height=_BAR, rx=3, fill=row.bar.colour)
    title = tag("title", f"{row.name}: {row.option}")
    return tag("g", title, label, mark, _text(end + 8, y, row.text))


def _share(name: str, chances: Mapping[str, float] | None) -> str:
    chance = None if chances is None else finite(chances[name])
    return "" if chance is None else f" {chance:.0%}"


def _wide(text: str) -> float:
    return _CHARACTER * len(text)


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


def _text(x: float, y: float, text: str, anchor: str = "start", fill: str = INK) -> Markup:
    return tag("text", text, x=x, y=y + _BAR - 3, text_anchor=anchor, fill=fill)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
