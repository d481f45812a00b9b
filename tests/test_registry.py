"""Plug-ins are found by name, bundled and installed alike, and a bad one names itself."""

from collections.abc import Callable
from pathlib import Path

import pytest

from latbench import registry
from latbench.errors import PluginError

BUNDLED = [(group, name) for group in registry.GROUPS for name in registry.names(group)]
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """A function that installs a distribution with one module and one entry point."""

    def install(distribution: str, group: str, entry: str, source: str = "") -> None:
        folder = tmp_path / distribution
        metadata = folder / f"{distribution}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n", encoding="utf-8"
        )
        (metadata / "entry_points.txt").write_text(f"[{group}]\n{entry}\n", encoding="utf-8")
        (folder / f"{distribution}.py").write_text(source, encoding="utf-8")
        monkeypatch.syspath_prepend(folder)

    return install


@pytest.mark.parametrize(("group", "name"), BUNDLED)
def test_bundled_plugins_load(group: str, name: str) -> None:
    """Every row of the built-in table names a class that exists."""
    assert isinstance(registry.load(group, name), type)


def test_names_are_sorted_and_joined(install: Install) -> None:
    """Bundled and installed names stand in one sorted list."""
    install("aardvark", registry.PREDICTORS, "aardvark = aardvark:Predictor")
    names = registry.names(registry.PREDICTORS)
    assert names == sorted(names)
    assert {"aardvark", "lut"} <= set(names)


def test_installed_plugin_loads(install: Install) -> None:
    """A third party's plug-in is loaded by the same call as a bundled one."""
    install("theirs_good", registry.SEARCHERS, "good = theirs_good:Good", "class Good: ...")
    assert registry.load(registry.SEARCHERS, "good").__module__ == "theirs_good"


def test_bundled_name_wins(install: Install) -> None:
    """A distribution cannot put itself in the place of a bundled plug-in."""
    install("theirs_lut", registry.SPACES, "fbnet = theirs_lut:Other", "class Other: ...")
    assert registry.load(registry.SPACES, "fbnet").__module__ == "latbench.spaces.fbnet"


def test_unknown_name_lists_the_known() -> None:
    """A misspelt name is answered with the known ones and the nearest of them."""
    with pytest.raises(PluginError) as refused:
        registry.load(registry.SPACES, "mobilnet")
    message = str(refused.value)
    assert message.startswith("no space 'mobilnet'; known: ")
    assert all(name in message for name in registry.names(registry.SPACES))
    assert "did you mean 'mobilenet'?" in message
    assert "install the distribution" in message


def test_nothing_near_is_not_suggested() -> None:
    """A name like none of the known ones gets no suggestion."""
    assert registry.nearest("qqqq", ["mobilenet", "fbnet"]) == ""


def test_two_distributions_of_one_name_are_refused(install: Install) -> None:
    """Which of two plug-ins is meant is the user's to say."""
    install("twin_a", registry.RUNTIMES, "twin = twin_a:Twin", "class Twin: ...")
    install("twin_b", registry.RUNTIMES, "twin = twin_b:Twin", "class Twin: ...")
    with pytest.raises(PluginError, match="twin_a:Twin, twin_b:Twin; uninstall all but one"):
        registry.load(registry.RUNTIMES, "twin")


@pytest.mark.parametrize(
    ("distribution", "source", "reason"),
    [
        ("broken_import", "import no_such_module_anywhere", "no_such_module_anywhere"),
        ("broken_code", "raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("broken_name", "", "AttributeError"),
    ],
)
def test_broken_plugin_names_itself(
    install: Install, distribution: str, source: str, reason: str
) -> None:
    """Whatever goes wrong in a third party's module, the message says whose it is and why."""
    install(distribution, registry.PREDICTORS, f"bad = {distribution}:Bad", source)
    with pytest.raises(PluginError) as refused:
        registry.load(registry.PREDICTORS, "bad")
    message = str(refused.value)
    assert f"'bad' ({distribution}:Bad)" in message
    assert reason in message
    assert refused.value.__cause__ is not None


def test_listing_holds_every_plugin(install: Install) -> None:
    """The list of plug-ins tells who brings each, and does not break on one that is broken."""
    install("lists_good", registry.SPACES, "good = lists_good:Good", "class Good: ...")
    install("lists_bad", registry.SPACES, "bad = lists_bad:Bad", "import no_such_module_anywhere")
    rows = {(row.group, row.name): row for row in registry.listing()}
    assert set(rows) >= {*BUNDLED, (registry.SPACES, "good"), (registry.SPACES, "bad")}
    assert rows[registry.SPACES, "fbnet"].distribution == "latbench"
    assert rows[registry.SPACES, "good"].distribution == "lists_good"
    assert rows[registry.SPACES, "good"].error is None
    assert "no_such_module_anywhere" in (rows[registry.SPACES, "bad"].error or "")
