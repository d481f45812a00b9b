"""What README.md and the pages of docs/ say is so: commands, code, tables and links."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from latbench.cli.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md"))]
PAGES += sorted(ROOT.glob("examples/*/README.md"))

# The demo at its smallest; README.md runs it at its full size.
DEMO = "--networks 8 --epochs 1 --evaluations 8"
# How ``make`` tells a make inside it what it was called with: not for the one that we start.
MAKES_OWN = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "DEMO", "PYTHON")


def fenced(page: Path, language: str) -> list[str]:
    """Return the code blocks of ``language`` in a page."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Return every line of README.md's shell blocks."""
    return [line for block in fenced(README, "sh") for line in block.splitlines()]


def environment(**changes: str) -> dict[str, str]:
    """Return this environment without what steers latbench, make and Python, and with changes."""
    steering = (*MAKES_OWN, "LATBENCH_STORE", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if name not in steering}
    return {**kept, **changes}


def run(command: str, here: Path, **changes: str) -> str:
    """Run a line of shell in ``here`` and return its output; fail with all that it printed."""
    done = subprocess.run(
        command,
        shell=True,
        cwd=here,
        env=environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the commands are run in, one after the other."""
    return tmp_path_factory.mktemp("readme")


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder with ``latbench``, as installing it for this interpreter would leave it."""
    script = tmp_path / "latbench"
    script.write_text(
        f"#!{sys.executable}\nfrom latbench.cli.main import main\n\nmain()\n", encoding="utf-8"
    )
    script.chmod(0o755)
    return tmp_path


def test_shell_blocks_are_the_ones_tested_here() -> None:
    """A command that is neither make's nor latbench's would be tested by nobody."""
    assert {line.split()[0] for line in commands()} == {"make", "latbench"}
    assert [line for line in commands() if line.startswith("make")] == ["make demo", "make test"]


def test_make_demo(here: Path) -> None:
    """``make demo`` ends with what was found, and leaves a report."""
    ready = ROOT / ".venv" / ".ready"
    if not ready.exists():
        pytest.skip("no .venv of make here; `make test` sets it up")
    # The rules name these two relative to where make runs, which must not be the checkout.
    for name in ("pyproject.toml", "constraints.txt"):
        (here / name).symlink_to(ROOT / name)
    make = f"make -f '{ROOT / 'Makefile'}' VENV='{ready.parent}'"
    stale = subprocess.run(
        f"{make} -q '{ready}'", shell=True, cwd=here, env=environment(), check=False
    )
    if stale.returncode:
        pytest.skip(".venv is older than pyproject.toml or constraints.txt; `make test` renews it")
    # The commands below look at the same networks, so they find them measured in this store.
    said = run(f"{make} demo DEMO='{DEMO}'", here, LATBENCH_STORE="sqlite:///latbench.db")
    assert re.search(r"^Found \S+$", said, re.MULTILINE)
    assert "The found network measures" in said
    assert "<html" in (here / "report.html").read_text(encoding="utf-8")[:1000].lower()


def test_commands_work_one_after_the_other(here: Path, tools: Path) -> None:
    """Every ``latbench`` line works as it is written, and leaves the files that it names."""
    path = os.pathsep.join([str(tools), os.environ["PATH"]])
    libraries = os.pathsep.join(entry for entry in sys.path if entry)
    for command in commands():
        if not command.startswith("latbench"):
            continue
        run(command, here, PATH=path, PYTHONPATH=libraries)
        for option in re.findall(r"--out (\S+)", command):
            assert (here / option).exists(), command
    for left in (
        "latbench.db",
        "latbench-search/arch.json",
        "latbench-search/network.onnx",
        "latbench-search/report.html",
        "one-shot/report.html",
        "latbench-train/network.onnx",
    ):
        assert (here / left).is_file(), left


def test_the_python_block_gives_the_gradient_it_promises() -> None:
    """The block runs as it is; alpha's gradient is that of the mean of the latencies."""
    (block,) = fenced(README, "python")
    names: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), names)
    # Uniform over three options: d mean / d alpha_i = (latency_i - mean) / 3.
    latencies_ms = {"a": [0.3, 0.5, 0.0], "b": [0.2, 0.4, 0.0]}
    means_ms = {name: sum(row) / 3 for name, row in latencies_ms.items()}
    assert float(names["expected_ms"].detach()) == pytest.approx(0.8 + sum(means_ms.values()))
    for name, row in latencies_ms.items():
        expected = [(latency_ms - means_ms[name]) / 3 for latency_ms in row]
        assert names["alpha"][name].grad.tolist() == pytest.approx(expected, abs=1e-6)


def test_the_table_lists_every_command() -> None:
    """README's table of commands is the command line's own, in its order."""
    section = README.read_text(encoding="utf-8").split("\n## Commands\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE) == list(COMMANDS)


def links(page: Path) -> Iterator[str]:
    """Yield the targets of a page's links, code left out."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    yield from re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", text))


def headings(page: Path) -> set[str]:
    """Return the anchors that a page's headings get."""
    lines = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line).strip().lower().replace(" ", "-") for line in lines}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file of the repository, and a heading that it has."""
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in headings(target), link
