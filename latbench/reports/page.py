"""A page: sections in a row, in one file that needs nothing else and no network."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from latbench.errors import LatbenchError, UsageError
from latbench.prediction.artefact import now
from latbench.reports import figures, tables
from latbench.reports.markup import Markup, bullets, joined, paragraphs, tag
from latbench.reports.origin import Origin
from latbench.reports.style import CSS
from latbench.reports.terms import explained
from latbench.version import current_version

# Beside what the file itself holds, a browser is to load nothing, whatever a script may ask for.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)
_NO_SCRIPT = "The charts need JavaScript; the text and the tables do not."


@dataclass(frozen=True)
class Part:
    """A piece of a section under its own heading."""

    title: str
    body: Markup


@dataclass(frozen=True)
class Section:
    """One result with all that belongs to it.

    Attributes:
        title: its heading.
        lead: the result in words and key numbers.
        origin: what the numbers belong to.
        parts: charts and tables.
        terms: which of :data:`~latbench.reports.terms.TERMS` it uses.
        notes: what a reader must know, in sentences.
    """

    title: str
    lead: Markup
    origin: Origin
    parts: tuple[Part, ...]
    terms: tuple[str, ...]
    notes: tuple[str, ...] = ()


def write_page(
    path: str | os.PathLike[str],
    sections: Sequence[Section],
    title: str | None = None,
    introduction: Sequence[str] = (),
) -> None:
    """Write sections to the HTML file ``path``, whole or not at all; an older one is replaced.

    Args:
        path: of the file; its folder exists.
        sections: at least one.
        title: heads the page; may be None for a single section, whose title then does.
        introduction: paragraphs below the title.

    Raises:
        UsageError: there is no such folder, or ``path`` is a folder.
        LatbenchError: the file cannot be written, for example because the disk is full.
    """
    place = Path(path)
    if place.is_dir():
        raise UsageError(f"{place} is a folder; name a file in it, such as {place / 'report.html'}")
    if not place.parent.is_dir():
        raise UsageError(f"there is no folder {place.parent} for the report; make it, or name one")
    content = render(sections, title, introduction).encode()
    new = place.with_name(f".{place.name}.{uuid.uuid4().hex}.new")
    try:
        try:
            with new.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            new.replace(place)
        finally:
            new.unlink(missing_ok=True)
    except OSError as failure:
        raise LatbenchError(
            f"the report {place} cannot be written ({failure.strerror or failure}); "
            "name a file in a folder that is yours and has room"
        ) from failure


def render(
    sections: Sequence[Section], title: str | None = None, introduction: Sequence[str] = ()
) -> str:
    """Return the page that :func:`write_page` writes."""
    single = title is None
    heading = sections[0].title if title is None else title
    seen: list[Origin] = []
    blocks = []
    for number, section in enumerate(sections, start=1):
        blocks.append(_section(section, number, seen, single))
        seen.append(section.origin)
    body = joined(
        [
            tag("header", tag("h1", heading), paragraphs(introduction)),
            None if len(sections) == 1 else _contents(sections),
            tag("main", *blocks),
            _terms(sections),
            _footer(),
        ]
    )
    scripts = [tables.SCRIPT]
    if 'class="plot"' in body:
        from plotly.offline import get_plotlyjs

        body = joined([tag("noscript", tag("p", _NO_SCRIPT)), body])
        scripts += [get_plotlyjs(), figures.SCRIPT]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", heading),
        tag("style", Markup(CSS)),
    )
    code = (tag("script", Markup(script)) for script in scripts)
    page = tag("html", head, tag("body", body, *code), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _section(section: Section, number: int, seen: Sequence[Origin], single: bool) -> Markup:
    part_heading = "h2" if single else "h3"
    notes = bullets(section.notes)
    return tag(
        "section",
        None if single else tag("h2", section.title, id=f"section-{number}"),
        section.lead,
        None if notes is None else tag("div", notes, class_="notes", role="note"),
        section.origin.line() if section.origin in seen else section.origin.box(),
        *(
            tag("section", tag(part_heading, part.title), part.body, class_="part")
            for part in section.parts
        ),
        class_="single" if single else "group",
    )


def _contents(sections: Sequence[Section]) -> Markup:
    items = (
        tag("li", tag("a", section.title, href=f"#section-{number}"))
        for number, section in enumerate(sections, start=1)
    )
    return tag("nav", tag("ul", *items), aria_label="Contents")


def _terms(sections: Sequence[Section]) -> Markup:
    names = {name for section in sections for name in section.terms}
    return tag("section", tag("h2", "Words used here"), explained(names), class_="words")


def _footer() -> Markup:
    return tag("footer", f"Written by latbench {current_version()} at {now()}. Works offline.")
