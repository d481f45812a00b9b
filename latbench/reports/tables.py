"""Tables: a column at a time, with its unit in the head, sorted by a click where scripts run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from latbench.reports.markup import Markup, breakable, tag
from latbench.reports.wording import ABSENT, Unit, finite

SCRIPT = """
for (const title of document.querySelectorAll("thead th > span")) {
  const head = title.parentElement;
  const sort = () => {
    const body = head.closest("table").tBodies[0];
    const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const order = row => row.cells[head.cellIndex].dataset.order;
    const numeric = head.classList.contains("number");
    body.append(...[...body.rows].sort((one, two) => {
      const [a, b] = [order(one), order(two)];
      if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
      return sign * (numeric ? a - b : a.localeCompare(b, "en", { numeric: true }));
    }));
  };
  title.setAttribute("role", "button");
  title.tabIndex = 0;
  title.addEventListener("click", sort);
  title.addEventListener("keydown", event => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    sort();
  });
}
"""
"""Sorts; cells without a value stay at the end either way.

The heads hold no button elements: browsers leave those out of the heads they repeat on each
printed page.
"""

_LONG = 16
"""Rows beyond which a table scrolls in its place on the screen."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        title: the head, with the unit.
        cells: what is shown, row by row.
        order: what the rows are sorted by; None sorts last and is shown pale.
        class_: ``text``, ``code`` or ``number``.
    """

    title: str
    cells: Sequence[str]
    order: Sequence[float | str | None]
    class_: str


def text_column(title: str, values: Iterable[str]) -> Column:
    """Return a column of words."""
    cells = list(values)
    return Column(title, cells, cells, "text")


def name_column(title: str, values: Iterable[str]) -> Column:
    """Return a column of names such as architectures and blocks, which may be long."""
    names = list(values)
    return Column(title, [breakable(name) for name in names], names, "code")


def number_column(
    title: str, values: Iterable[float | None], text: Callable[[float | None], str]
) -> Column:
    """Return a column of numbers; ``text`` words them, None included."""
    order = [finite(value) for value in values]
    return Column(title, [text(value) for value in order], order, "number")


def latency_column(
    title: str, values_ms: Iterable[float | None], unit: Unit, absent: str = ABSENT
) -> Column:
    """Return a column of latencies, the unit in its head."""
    return number_column(
        f"{title} ({unit.name})", values_ms, lambda value: unit.text(value, absent)
    )


def interval_column(
    title: str,
    ends_ms: Iterable[tuple[float | None, float | None]],
    unit: Unit,
    absent: str = ABSENT,
) -> Column:
    """Return a column of intervals (low, high), sorted by their width."""
    cells: list[str] = []
    order: list[float | None] = []
    for low, high in ((finite(low), finite(high)) for low, high in ends_ms):
        if low is None or high is None:
            cells.append(absent)
            order.append(None)
        else:
            cells.append(f"{unit.text(low)} to {unit.text(high)}")
            order.append(high - low)
    return Column(f"{title} ({unit.name})", cells, order, "number")


def table(caption: str, columns: Sequence[Column]) -> Markup:
    """Return the table; its first column heads the rows."""
    heads = [
        tag("th", tag("span", column.title), scope="col", class_=column.class_)
        for column in columns
    ]
    rows = [
        tag("tr", *(_cell(column, row, first=not n) for n, column in enumerate(columns)))
        for row in range(len(columns[0].cells))
    ]
    inner = tag(
        "table", tag("caption", caption), tag("thead", tag("tr", *heads)), tag("tbody", *rows)
    )
    long = " long" if len(rows) > _LONG else ""
    # Focusable, so that a table too large for its place can be scrolled from the keyboard.
    return tag("div", inner, class_=f"table{long}", role="region", aria_label=caption, tabindex=0)


def _cell(column: Column, row: int, first: bool) -> Markup:
    order = column.order[row]
    return tag(
        "th" if first else "td",
        column.cells[row],
        scope="row" if first else None,
        class_=column.class_ if order is not None else f"{column.class_} absent",
        data_order=order,
    )
