"""The wheel holds every sub-package and data file, and installs no generic name."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    ROOT / "latbench",
    ROOT / "predictors" / "latbench_predictors",
    ROOT / "search_plugins" / "latbench_search",
)
DATA_FOLDERS = ("device_profiles", "datasets")
CODE = {path: path.relative_to(top.parent) for top in PACKAGES for path in top.rglob("*.py")}
REBUILT = shutil.ignore_patterns("__pycache__", "*.egg-info")


def clean_environment() -> dict[str, str]:
    """Return the environment without what would make the checkout importable or configure pip."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PIP_", "VIRTUAL_ENV"))
    }


def run(*command: str | Path, cwd: Path) -> str:
    """Run ``command`` in ``cwd`` and return what it printed; fail with all of its output."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a wheel is built from: an earlier build's leftovers would be shipped again."""
    copy = tmp_path_factory.mktemp("source") / "latbench"
    for name in ("latbench", "predictors", "search_plugins", *DATA_FOLDERS):
        shutil.copytree(ROOT / name, copy / name, ignore=REBUILT)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path) -> Path:
    """The wheel, built with the build tools of this environment and no network."""
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", cwd=source)
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` folder of a fresh environment with the wheel and this one's dependencies."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    # Lines of a path file are plain search paths: editable installs there do not come along.
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    own = folder / "lib" / version / "site-packages"
    theirs = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (own / "dependencies.pth").write_text("\n".join(sorted(theirs)), encoding="utf-8")
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    run(*pip, "install", "--no-index", "--no-deps", wheel, cwd=folder)
    return folder / "bin"


def test_packages_list_matches_the_tree() -> None:
    """A sub-package that pyproject.toml does not list would be missing from the wheel."""
    tomllib = pytest.importorskip("tomllib", reason="part of Python 3.11")
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found = {".".join(path.parent.parts) for path in CODE.values()}
    data = {f"latbench.{folder}" for folder in DATA_FOLDERS}
    listed = config["tool"]["setuptools"]["packages"]
    assert set(listed) == found | data
    assert listed == sorted(listed)


def test_every_folder_of_code_is_a_package() -> None:
    """Without an ``__init__.py`` a folder is a namespace, which any distribution may extend."""
    missing = {path.parent for path in CODE if not (path.parent / "__init__.py").is_file()}
    assert missing == set()


def test_root_folders_are_not_packages() -> None:
    """The plain names of the root folders can be imported from nowhere."""
    for name in ("predictors", "search_plugins", *DATA_FOLDERS):
        assert not (ROOT / name / "__init__.py").exists()


def test_data_folders_hold_no_code() -> None:
    """Device profiles and data sets are read, never run."""
    for name in DATA_FOLDERS:
        assert list((ROOT / name).rglob("*.py")) == []


def test_datasets_have_hyphens() -> None:
    """A data set's folder whose name could be imported makes setuptools ask for a package."""
    for folder in (ROOT / "datasets").iterdir():
        assert not (folder.is_dir() and folder.name.isidentifier())


def test_wheel_installs_three_names(wheel: Path) -> None:
    """Beside its own metadata the wheel installs the three packages and nothing else."""
    top = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    (metadata,) = (name for name in top if re.fullmatch(r"latbench-[^-]+\.dist-info", name))
    assert top == {*(package.name for package in PACKAGES), metadata}


def test_wheel_holds_every_file(wheel: Path) -> None:
    """Code, type markers, device profiles and data sets are all inside."""
    folders = {package: package.name for package in PACKAGES}
    folders |= {ROOT / folder: f"latbench/{folder}" for folder in DATA_FOLDERS}
    expected = {
        f"{home}/{path.relative_to(folder).as_posix()}"
        for folder, home in folders.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert inside == expected
    assert {f"{package.name}/py.typed" for package in PACKAGES} <= inside
    assert "latbench/device_profiles/cpu.yaml" in inside


def test_installed_wheel_loads_its_plugins(installed: Path, tmp_path: Path) -> None:
    """Away from the checkout every bundled plug-in and data set loads, and comes from the wheel."""
    program = """
import sys
from latbench import registry, resources
for group in registry.GROUPS:
    for name in registry.names(group):
        print(sys.modules[registry.load(group, name).__module__].__file__)
assert "cpu" in resources.device_profiles()
assert all(resources.dataset(name) for name in resources.datasets())
assert len(resources.datasets()) == int(sys.argv[1])
"""
    sets = len(list((ROOT / "datasets").glob("*/data.parquet")))
    command = (installed / "python", "-I", "-c", program, str(sets))
    files = run(*command, cwd=tmp_path).splitlines()
    assert files
    assert [file for file in files if not file.startswith(str(installed.parent))] == []


def test_installed_command_runs(installed: Path, tmp_path: Path) -> None:
    """The console script is installed and tells its version."""
    (metadata,) = (installed.parent / "lib").glob("*/site-packages/latbench-*.dist-info")
    version = metadata.name.removeprefix("latbench-").removesuffix(".dist-info")
    assert version in run(installed / "latbench", "--version", cwd=tmp_path)


def test_checkout_runs_without_installing(tmp_path: Path) -> None:
    """``cli.py`` finds the plug-ins beside it, wherever it is called from."""
    assert "Usage" in run(sys.executable, ROOT / "cli.py", "--help", cwd=tmp_path)
