"""HTML built from pieces that escape themselves: plain text cannot become an element."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

VOID = frozenset({"br", "col", "hr", "meta", "path", "rect", "wbr"})
"""Elements without content, those of SVG that are written in the short form included."""


class Markup(str):
    """Text that is HTML already. Every other string is escaped when it is put into an element."""

    __slots__ = ()


def tag(name: str, /, *children: str | None, **attributes: str | float | None) -> Markup:
    """Return the element ``name``.

    Args:
        name: of the element.
        children: :class:`Markup` as it is, other strings escaped, None left out.
        attributes: a trailing underscore is dropped, other underscores become hyphens; None leaves
            the attribute out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{joined(children)}</{name}>")


def joined(parts: Iterable[str | None]) -> Markup:
    """Return the parts one after the other, escaped unless they are :class:`Markup`."""
    return Markup("".join(escaped(part) for part in parts if part is not None))


def escaped(text: str) -> Markup:
    """Return ``text`` as markup: as it is if it is markup, else with ``<``, ``&`` … written out."""
    return text if isinstance(text, Markup) else Markup(html.escape(text))


def paragraphs(texts: Iterable[str], class_: str | None = None) -> Markup:
    """Return a paragraph for each text."""
    return joined(tag("p", text, class_=class_) for text in texts)


def prose(text: str) -> Markup:
    """Return plain text with what stands between backticks as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a backtick without a second one is itself
        return escaped(text)
    return joined(tag("code", part) if place % 2 else part for place, part in enumerate(parts))


def bullets(texts: Iterable[str]) -> Markup | None:
    """Return a list with an item for each plain text, or None if there is none."""
    items = [tag("li", prose(text)) for text in texts]
    return tag("ul", *items) if items else None


def definitions(pairs: Iterable[tuple[str, str]], class_: str) -> Markup:
    """Return a definition list of (term, text) pairs."""
    return tag(
        "dl",
        *(tag("div", tag("dt", term), tag("dd", text)) for term, text in pairs),
        class_=class_,
    )


def breakable(name: str) -> Markup:
    """Return a long name that a line may break after a comma or a bar, rather than anywhere."""
    pieces = re.split(r"(?<=[,|])", name)
    return joined(part for piece in pieces for part in (tag("wbr"), piece))
