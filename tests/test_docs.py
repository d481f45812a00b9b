"""The pages of docs/ say what the code does."""

import ast
import re
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from click import Context

from latbench import registry
from latbench.cli.commands import latbench as group
from latbench.hooks import PENALTIES
from latbench.one_shot_searcher import OneShotSearcher
from latbench.timing import Protocol, Status
from latbench.training.config import TrainConfig
from latbench.workflows.search_config import KEYS, read_config
from latbench.workflows.search_settings import SearchSettings
from latbench.workflows.searchers import settled

ROOT = Path(__file__).resolve().parents[1]
MEASURING = (ROOT / "docs" / "measuring.md").read_text(encoding="utf-8")
PREDICTING = (ROOT / "docs" / "predicting.md").read_text(encoding="utf-8")
SEARCHING = (ROOT / "docs" / "searching.md").read_text(encoding="utf-8")
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


@pytest.mark.parametrize("page", [PREDICTING, SEARCHING])
def test_the_examples_run(page: str) -> None:
    """Each block of Python runs, and what a comment says of a value is so."""
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    checked = 0
    for block in blocks:
        names: dict[str, Any] = {}
        exec(block, names)
        for name, told in re.findall(r"^(\w+) = .*  # ([-+*/.() 0-9]+)$", block, re.MULTILINE):
            assert names[name].item() == pytest.approx(eval(told))
            checked += 1
    assert checked


def test_every_searcher_is_explained() -> None:
    """The table of algorithms holds those that are registered."""
    named = [row[0].strip("`") for row in cells(SEARCHING, "Which algorithm")]
    assert sorted(named) == sorted(registry.names(registry.SEARCHERS))


def test_the_settings_of_alpha_are_those_of_the_code() -> None:
    """For each searcher that has an alpha, its own defaults."""
    rows = cells(SEARCHING, "How the chances learn")
    kinds = {
        name: registry.load(registry.SEARCHERS, name) for name in registry.names(registry.SEARCHERS)
    }
    one_shot = {name: kind for name, kind in kinds.items() if issubclass(kind, OneShotSearcher)}
    assert sorted(row[0].strip("`") for row in rows) == sorted(one_shot)
    for name, *told in rows:
        searcher = one_shot[name.strip("`")]()
        settings = (
            *("rate", "weight_decay", "every", "warmup"),
            *("momentum", "clip_norm", "rate_left"),
        )
        assert list(map(value, told)) == [getattr(searcher, one) for one in settings], name


def test_the_penalties_are_those_of_the_code() -> None:
    """Each with its defaults."""
    rows = cells(SEARCHING, "The latency's part")
    assert sorted(row[0].strip("`") for row in rows) == sorted(PENALTIES)
    for name, _, told in rows:
        takes = signature(PENALTIES[name.strip("`")]).parameters.values()
        defaults = {one.name: one.default for one in takes if one.default is not one.empty}
        assert dict(re.findall(r"`(\w+)=([\d.]+)`", told)) == {
            key: str(default) for key, default in defaults.items()
        }, name


def test_the_config_holds_every_key(tmp_path: Path) -> None:
    """The example is read, and nothing that a file may say is missing from it."""
    (block,) = re.findall(r"```yaml\n(.*?)```", SEARCHING, re.DOTALL)
    path = tmp_path / "config.yaml"
    path.write_text(block, encoding="utf-8")
    found = read_config(path)
    assert set(yaml.safe_load(block)) == set(KEYS)
    assert set(yaml.safe_load(block)["train"]) == set(TrainConfig().to_dict()) - {"steps"}
    settled(SearchSettings(**found.settings))


def test_the_options_of_searching_exist() -> None:
    """Every option that the page names is one of a command."""
    known: set[str] = set()
    for name in ("search", "train"):
        command = group.get_command(Context(group), name)
        assert command is not None
        known.update(option for one in command.params for option in one.opts)
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", SEARCHING)) - {"--logdir"}
    assert named <= known
