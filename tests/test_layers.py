"""The house's import order, read from the source: every import points down the page."""

import ast
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import latbench

ROOT = Path(__file__).resolve().parents[1]
CODE_ROOTS = (ROOT, ROOT / "predictors", ROOT / "search_plugins")
FACE = "latbench"
PLUGINS = ("latbench_predictors", "latbench_search")

# From the top down. A module may import those below it and those of its own line; the plug-ins,
# which share one, may not even do that.
LAYERS = (
    ("latbench.cli",),
    ("latbench.workflows",),
    ("latbench.testing",),
    ("latbench.reports",),
    PLUGINS,
    (FACE,),
    ("latbench.searcher", "latbench.discrete_searcher", "latbench.one_shot_searcher"),
    ("latbench.hooks",),
    ("latbench.training",),
    ("latbench.profiling",),
    ("latbench.runtimes",),
    ("latbench.timing",),
    ("latbench.spaces",),
    ("latbench.store",),
    ("latbench.predictor",),
    ("latbench.prediction",),
    ("latbench.devices",),
    (
        "latbench.registry",
        "latbench.resources",
        "latbench.target",
        "latbench.units",
        "latbench.errors",
        "latbench.version",
        "latbench.parameters",
        "latbench.replacing",
    ),
)
RANK = {place: rank for rank, line in enumerate(LAYERS) for place in line}


def modules() -> dict[str, Path]:
    """Return every module of the three code roots by its dotted name."""
    found = {}
    for root, package in zip(CODE_ROOTS, (FACE, *PLUGINS), strict=True):
        for path in (root / package).rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def place_of(module: str) -> str:
    """Return the entry of ``LAYERS`` that ``module`` belongs to."""
    first, _, rest = module.partition(".")
    return f"{first}.{rest.partition('.')[0]}" if first == FACE and rest else first


def imported(source: str, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """Yield (line, module) for each import of this project, wherever it stands in ``source``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                parents = package[: len(package) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            # What the face defines is the face's, even where a sub-module has the same name.
            names = [
                base if base == FACE and alias.name in latbench.__all__ else f"{base}.{alias.name}"
                for alias in node.names
            ]
        else:
            continue
        for name in names:
            if place_of(name).split(".")[0] in (FACE, *PLUGINS):
                yield node.lineno, name


def objections(source: str, module: str, is_package: bool = False) -> list[str]:
    """Return why the imports of ``module`` break the order, a line each."""
    here = place_of(module)
    found = []
    for line, name in imported(source, module, is_package):
        there = place_of(name)
        if there == here:
            continue
        if there in PLUGINS:
            found.append(f"{module}:{line} imports {name}; ask latbench.registry for it by name")
        elif there not in RANK:
            found.append(f"{module}:{line} imports {name}, which is not in the face's __all__")
        elif RANK[there] < RANK[here]:
            found.append(f"{module}:{line} imports {name}, which is above it")
    return found


def test_every_module_has_a_place() -> None:
    """A new module at the top of the package is given its layer before it is imported."""
    assert {place_of(module) for module in MODULES} <= set(RANK)


def test_imports_point_down() -> None:
    """No module imports what is above it, nor a plug-in, not even in a function or for types."""
    found = [
        objection
        for module, path in sorted(MODULES.items())
        for objection in objections(
            path.read_text(encoding="utf-8"), module, path.name == "__init__.py"
        )
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("latbench.spaces.graph", "from latbench.hooks import LatencyFilter"),
        ("latbench.spaces.graph", "import latbench.hooks.filter"),
        ("latbench.spaces.graph", "from ..runtimes import torch"),
        ("latbench.store.rows", "from latbench import runtimes"),
        ("latbench.store.rows", "from latbench import predictor"),
        ("latbench.store.rows", "def late():\n    from latbench.spaces import space"),
        ("latbench.devices.host", "if TYPE_CHECKING:\n    from latbench.store import Store"),
        ("latbench.cli.main", "from latbench_search.evolution import Evolution"),
        ("latbench.testing.predictors", "import latbench_predictors.lut"),
        ("latbench.hooks.filter", "def late():\n    import latbench_predictors"),
        ("latbench_predictors.lut", "from latbench_search import evolution"),
        ("latbench_search.evolution", "from latbench_predictors.lut import LUT"),
        ("latbench_search.evolution", "from latbench.reports import table"),
    ],
)
def test_the_check_notices(module: str, source: str) -> None:
    """Each way of importing upward is objected to, so that the check above can fail."""
    assert len(objections(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("latbench.cli.main", "import torch, latbench, latbench.units"),
        ("latbench.cli.main", "from latbench import predictor, registry"),
        ("latbench.spaces.graph", "from .options import whole\nfrom ..store import Store"),
        ("latbench_search.evolution", "from latbench.searcher import Searcher"),
        ("latbench_predictors.lut", "from . import ridge"),
    ],
)
def test_the_check_lets_pass(module: str, source: str) -> None:
    """Imports of what is below, of one's own package and of others are nobody's concern."""
    assert objections(source, module) == []


def test_importing_latbench_is_light() -> None:
    """``import latbench`` loads neither a framework nor a runtime nor what tables need."""
    program = textwrap.dedent("""
        import sys
        sys.path[:0] = sys.argv[1:]
        import latbench
        heavy = {"torch", "onnx", "onnxruntime", "pandas", "sqlalchemy", "plotly"}
        print(*sorted(heavy & set(sys.modules)))
    """)
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, *map(str, CODE_ROOTS)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []
