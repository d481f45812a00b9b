"""The pages of docs/ say what the code does."""

import ast
import re
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pytest

from latbench import registry
from latbench.timing import Protocol, Status

ROOT = Path(__file__).resolve().parents[1]
MEASURING = (ROOT / "docs" / "measuring.md").read_text(encoding="utf-8")
PREDICTING = (ROOT / "docs" / "predicting.md").read_text(encoding="utf-8")
EXTENDING = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples" / "latbench-example"


def cells(text: str, heading: str) -> list[list[str]]:
    """Return the rows of the table below a heading, without its head."""
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\|(.*)\|$", section, re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")] for row in rows[2:]]


def value(cell: str) -> Any:
    """Return what a cell says: a number, or the text."""
    try:
        return ast.literal_eval(cell)
    except (ValueError, SyntaxError):
        return cell


@pytest.mark.parametrize(("column", "protocol"), [(1, Protocol.standard()), (2, Protocol.quick())])
def test_the_protocols_are_those_of_the_code(column: int, protocol: Protocol) -> None:
    """The table holds every parameter with its default."""
    rows = cells(MEASURING, "The protocol")
    assert {row[0].strip("`"): value(row[column]) for row in rows} == protocol.to_dict()


def test_every_status_is_explained() -> None:
    """The table of statuses holds those that an estimate can have."""
    rows = cells(MEASURING, "Status")
    assert [row[0].strip("`") for row in rows] == list(get_args(Status))


def quoted() -> list[tuple[str, str]]:
    """Return (language, code) of each block of docs/extending.md."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", EXTENDING, re.MULTILINE | re.DOTALL)


def sources() -> str:
    """Return every file of the example, one after the other."""
    files = sorted(path for path in EXAMPLE.rglob("*") if path.suffix in (".py", ".toml", ".yaml"))
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


@pytest.mark.parametrize(("language", "code"), quoted())
def test_quoted_code_is_the_examples(language: str, code: str) -> None:
    """Each block stands literally in a file of the example, which is tested."""
    assert language in {"python", "toml", "yaml"}
    assert code in sources()


def test_every_kind_is_described() -> None:
    """The table of kinds holds every group of entry points, and suites that exist."""
    rows = re.findall(r"^\| [a-z ]+ \| .* \| `(latbench\.\w+)` \| (.*) \|$", EXTENDING, re.M)
    assert sorted(group for group, _ in rows) == sorted(registry.GROUPS)
    suites = {group: suite.strip("`") for group, suite in rows if suite.startswith("`")}
    assert set(suites) == set(registry.GROUPS) - {registry.DEVICES}
    for suite in suites.values():
        module, _, name = suite.rpartition(".")
        assert isinstance(getattr(import_module(module), name), type)


def test_every_predictor_is_explained() -> None:
    """The table of kinds holds those that are registered."""
    rows = cells(PREDICTING, "Which kind")
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(named) == sorted(registry.names(registry.PREDICTORS))


def test_the_examples_of_predicting_run() -> None:
    """Each block of Python runs, and what a comment says of a value is so."""
    blocks = re.findall(r"```python\n(.*?)```", PREDICTING, re.DOTALL)
    checked = 0
    for block in blocks:
        names: dict[str, Any] = {}
        exec(block, names)
        for name, told in re.findall(r"^(\w+) = .*  # ([-+*/.() 0-9]+)$", block, re.MULTILINE):
            assert float(names[name]) == pytest.approx(eval(told))
            checked += 1
    assert checked
