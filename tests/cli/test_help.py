"""Help is quick, complete, and says the same everywhere."""

import inspect
import re
import resource
import subprocess
import textwrap
from collections.abc import Callable
from typing import Any

import click
import pytest

from latbench.cli.commands import COMMANDS, latbench
from latbench.workflows.evaluate import PROTOCOLS

HEAVY = "{'torch', 'onnx', 'onnxruntime', 'pandas', 'sqlalchemy', 'sklearn', 'plotly'}"
Start = Callable[..., "subprocess.Popen[str]"]


def command(name: str) -> click.Command:
    """Return a command as the group loads it."""
    found = latbench.get_command(click.Context(latbench), name)
    assert found is not None
    return found


def test_the_group_lists_every_command(start: Start) -> None:
    """``latbench --help`` shows each command of the table with its help."""
    out, err = start("--help").communicate()
    for name, text in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(text[:40])}", out, re.MULTILINE)
    assert not err


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_what_the_command_says(name: str) -> None:
    """The table's help is the first line of the command's own."""
    assert (command(name).help or "").splitlines()[0] == COMMANDS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_the_shared_options(name: str) -> None:
    """A command takes --store, --json and --debug, once each however often it is loaded."""
    for _ in range(2):
        options = [option for parameter in command(name).params for option in parameter.opts]
        assert [options.count(option) for option in ("--store", "--json", "--debug")] == [1, 1, 1]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_help(name: str) -> None:
    """No option is left to be guessed."""
    for parameter in command(name).params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.opts


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_loads_nothing_heavy(name: str, start: Start) -> None:
    """Help imports no framework, no runtime and nothing that reads tables or stores."""
    program = textwrap.dedent(f"""
        import sys
        from latbench.cli.main import run
        code = run([*sys.argv[1:], "--help"])
        print(code, *({HEAVY} & set(sys.modules)), file=sys.stderr)
    """)
    out, err = start(*name.split(), program=program).communicate()
    assert err.split() == ["0"]
    assert out.startswith(f"Usage: latbench {name}".rstrip())


def test_help_takes_less_than_half_a_second(start: Start) -> None:
    """``latbench --help`` computes for less than 0.5 s, whatever else the machine does."""
    used_s = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start("--help").communicate()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(used_s) < 0.5


def test_no_command_shows_the_help(run: Callable[..., Any]) -> None:
    """Without a command the help goes to stderr, as wrong usage does."""
    done = run()
    assert (done.code, done.out) == (2, "")
    assert "Commands:" in done.err


def test_every_protocol_stands_in_the_help_of_evaluate() -> None:
    """What is listed is what there is, each in the words of its table."""
    text = inspect.cleandoc(command("evaluate").help or "")
    listed = re.findall(r"^  ([a-z0-9-]+) +(\S.*)$", text, re.MULTILINE)
    assert listed == [(name, protocol.about) for name, protocol in PROTOCOLS.items()]
