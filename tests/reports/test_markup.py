"""Text becomes HTML in one place, and stays text."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latbench.reports.markup import Markup, breakable, joined, prose, tag

TEXTS = st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]))


class Reader(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.values: list[str | None] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.values += [value for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


@given(TEXTS)
def test_any_text_is_read_back(text: str) -> None:
    """Whatever the text, a reader meets one element with exactly that text."""
    read = Reader(tag("p", text))
    assert (read.tags, read.text) == (["p"], text)


@given(TEXTS)
def test_any_attribute_is_read_back(text: str) -> None:
    """Whatever its value, an attribute ends where it should."""
    read = Reader(tag("p", "x", aria_label=text))
    assert (read.tags, read.values, read.text) == (["p"], [text], "x")


@given(TEXTS)
def test_breakable_changes_no_text(text: str) -> None:
    """Line breaks are offered without a change to the name, which stays escaped."""
    read = Reader(breakable(text))
    assert read.text == text
    assert set(read.tags) <= {"wbr"}


def test_markup_is_escaped_once() -> None:
    """Elements inside elements stay elements."""
    assert tag("p", tag("b", "a & b")) == "<p><b>a &amp; b</b></p>"


def test_nothing_is_left_out_silently_but_none() -> None:
    """None leaves out a child or an attribute; an empty text does not."""
    assert tag("p", None, "", id=None, title="") == '<p title=""></p>'


def test_joined_escapes_plain_strings() -> None:
    """Joining is no way around escaping."""
    assert joined(["<", Markup("<br/>")]) == "&lt;<br/>"


@pytest.mark.parametrize("name", ["aria_label", "data_order"])
def test_attribute_names_get_hyphens(name: str) -> None:
    """Python's underscores are HTML's hyphens."""
    assert f' {name.replace("_", "-")}="1"' in tag("p", **{name: 1})


@given(TEXTS, TEXTS)
def test_what_stands_between_backticks_is_code(outside: str, inside: str) -> None:
    """The backticks go, and nothing else does."""
    outside, inside = outside.replace("`", ""), inside.replace("`", "")
    read = Reader(prose(f"{outside}`{inside}`{outside}"))
    assert (read.tags, read.text) == (["code"], outside + inside + outside)


@given(TEXTS)
def test_a_lone_backtick_is_text(text: str) -> None:
    """One without a second one marks nothing."""
    lone = text.replace("`", "") + "`"
    read = Reader(prose(lone))
    assert (read.tags, read.text) == ([], lone)
