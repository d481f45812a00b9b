"""What ``import latbench`` gives: plug-ins by name, and the few classes everybody needs."""

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

import latbench
from latbench import version
from latbench.errors import PluginError, UsageError

ROOT = Path(__file__).resolve().parents[1]
CODE_ROOTS = (ROOT, ROOT / "predictors", ROOT / "search_plugins")
LOOKUPS = (latbench.space, latbench.runtime, latbench.predictor, latbench.searcher)


def test_everything_announced_is_there() -> None:
    """Every public name can be had, those loaded late included."""
    assert [name for name in latbench.__all__ if getattr(latbench, name, None) is None] == []


def test_misspelt_name_is_an_attribute_error() -> None:
    """A name that latbench has not is refused as by any other module."""
    with pytest.raises(AttributeError, match="'latbench' has no attribute 'Tagret'"):
        getattr(latbench, "Tagret")  # noqa: B009 - a type checker refuses the plain form


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_unknown_plugin_is_refused(lookup: Callable[[str], object]) -> None:
    """Each kind of plug-in answers an unknown name with the known ones."""
    with pytest.raises(PluginError, match=f"no {lookup.__name__} 'nothing'; known: "):
        lookup("nothing")


def test_space_takes_its_options() -> None:
    """A space is returned built, with the options that were given."""
    assert latbench.space("mobilenet", image_size=96).input_shape == (3, 96, 96)


def test_unknown_option_lists_the_known() -> None:
    """A misspelt option of a space is answered with the known ones and the nearest."""
    with pytest.raises(UsageError) as refused:
        latbench.space("fbnet", imagesize=96)
    message = str(refused.value)
    assert "'imagesize'" in message
    assert "known: channels, classes, image_size" in message
    assert "did you mean 'image_size'?" in message


def test_contracts_do_not_hide_the_lookups() -> None:
    """Importing the modules of the two contracts leaves the functions of the same names alone."""
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "import latbench, latbench.predictor, latbench.searcher\n"
        "from latbench.predictor import Predictor\n"
        "print(callable(latbench.predictor), callable(latbench.searcher), Predictor.__module__)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, *map(str, CODE_ROOTS)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["True", "True", "latbench.predictor"]


def test_version_is_the_one_of_pyproject(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a bare checkout, which has no metadata, the version is read from pyproject.toml."""
    monkeypatch.setattr(version, "version", raise_not_found)
    line = f'version = "{version.current_version()}"'
    assert line in (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()


def test_version_of_a_copied_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A copy without metadata and without pyproject.toml says that it does not know."""
    monkeypatch.setattr(version, "version", raise_not_found)
    monkeypatch.setattr(version, "__file__", str(tmp_path / "latbench" / "version.py"))
    assert version.current_version.__wrapped__() == "unknown"


def raise_not_found(name: str) -> str:
    """Stand in for ``importlib.metadata.version`` where nothing is installed."""
    raise PackageNotFoundError(name)
