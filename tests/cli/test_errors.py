"""Whatever goes wrong, the user gets one line that says what and how to mend it."""

import errno
import os
import signal
import sqlite3
import subprocess
import textwrap
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from latbench import registry
from latbench.errors import InfeasibleError, UsageError

Run = Callable[..., Any]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch, run: Run) -> Run:
    """A function that runs ``latbench plugins`` where it raises an error."""

    def failing(error: BaseException, *arguments: str) -> Any:
        def listing() -> None:
            raise error

        monkeypatch.setattr(registry, "listing", listing)
        return run("plugins", *arguments)

    return failing


def one_line(text: str) -> str:
    """Return the only line of ``text``."""
    (line,) = text.splitlines()
    return line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("devics", "no command 'devics'; did you mean 'devices'? (see latbench --help)"),
        ("devices --jsn", "--jsn"),
        ("--strore x devices", "--store"),
        ("export", "missing argument 'FILE' (see latbench export --help)"),
        ("doctor --device v10", "did you mean 'v100'?"),
        ("doctor --runtime onnxruntim", "did you mean 'onnxruntime'?"),
        ("doctor --runtime torch:fp23", "did you mean 'fp32'?"),
        ("doctor --runtime :fp32", "write NAME or NAME:PRECISION"),
        ("doctor --runtime torch --runtime onnxruntime", "takes one --runtime"),
        ("doctor --runtime-option optimization=all", "did you mean 'optimisation'?"),
        ("doctor --runtime-option optimisation", "'optimisation' is not KEY=VALUE"),
        ("doctor --runtime-option a=1 --runtime-option a=2", "gives 'a' more than once"),
        ("doctor --threads 0", "'--threads'"),
        ("doctor --batch two", "'--batch'"),
        ("doctor --seconds 0", "'--seconds'"),
        ("validate --count 0", "'--count'"),
        ("export a.csv --space mobilnet", "did you mean 'mobilenet'?"),
        ("export a.csv --space-option imagesize=96", "did you mean 'image_size'?"),
        ("export a.csv --space-option image_size=big", "image_size must be a whole number"),
        ("export a.csv --space-option =3", "'=3' is not KEY=VALUE"),
        ("export a.csv --kind netwrk", "'--kind'"),
        ("evaluate help-nb20 --data .", "did you mean 'help-nb201'?"),
        ("evaluate help-nb201 --data .", "no file nb201_latency_27dev.csv.gz in ."),
        ("evaluate help-nb201 --data . --labels 1", "'--labels'"),
        ("fit-predictor --kind rigde --table t.csv", "did you mean 'ridge'?"),
        ("profile --budget 10", "'10' has no unit"),
        ("search --latency-target 5", "'5' has no unit; write 5ms, 5us or 5s"),
        ("--store measured.db export a.csv", "is not the URL of a store"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: str, says: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the user mistyped is named with the way to mend it, on stderr, with exit code 2."""
    monkeypatch.delenv("LATBENCH_EVAL_DATA", raising=False)
    done = run(*arguments.split())
    assert (done.code, done.out) == (2, "")
    line = one_line(done.err)
    assert line.startswith("latbench: error: ")
    assert says in line


def test_missing_data_names_option_and_variable(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without data a protocol says both ways to give it."""
    monkeypatch.delenv("LATBENCH_EVAL_DATA", raising=False)
    done = run("evaluate", "help-nb201")
    assert done.code == 2
    assert "--data PATH" in one_line(done.err)
    assert "LATBENCH_EVAL_DATA" in done.err


@pytest.mark.parametrize("what", ["nothing", "folder", "text", "no folder", "other tables"])
def test_a_store_that_is_none_is_named(what: str, run: Run, tmp_path: Path) -> None:
    """A store that is missing, or something else, ends in one line and exit code 1."""
    path = tmp_path / ("gone/there.db" if what == "no folder" else "there.db")
    if what == "folder":
        path.mkdir()
    elif what == "text":
        path.write_text("no database " * 100, encoding="ascii")
    elif what == "other tables":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE songs (title TEXT)")
    done = run("--store", f"sqlite:///{path}", "export", "a.csv")
    assert (done.code, done.out) == (1, "")
    assert one_line(done.err).startswith(f"latbench: error: the store sqlite:///{path} ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_named(run: Run, tmp_path: Path, url: str, fill: Run) -> None:
    """A store in a folder that cannot be written to ends in one line."""
    fill(url)
    tmp_path.chmod(0o500)
    try:
        done = run("--store", url, "export", "a.csv")
    finally:
        tmp_path.chmod(0o700)
    assert done.code == 1
    assert one_line(done.err).startswith("latbench: error: ")


def test_an_absent_device_tells_the_two_ways_on(run: Run) -> None:
    """A device that exists but is not here fails, and says where it could be reached."""
    done = run("doctor", "--device", "v100")
    assert done.code == 1
    line = one_line(done.err)
    assert "no v100 here" in line
    assert "ray://" in line


@pytest.mark.parametrize(
    ("error", "code"), [(UsageError("give a number"), 2), (InfeasibleError("none is fast"), 1)]
)
def test_an_error_of_ours_is_its_text(error: Exception, code: int, failing: Run) -> None:
    """The text of a LatbenchError is the line, and its kind the exit code."""
    done = failing(error)
    assert (done.code, done.out, done.err) == (code, "", f"latbench: error: {error}\n")


def test_a_multi_line_error_becomes_one(failing: Run) -> None:
    """Line breaks in an error's text do not reach the terminal."""
    assert one_line(failing(UsageError("first\n  second")).err).endswith("first second")


def test_a_defect_is_called_one(failing: Run) -> None:
    """What nobody foresaw is a defect of latbench: one line, and how to see more."""
    done = failing(ZeroDivisionError("division by zero"))
    line = one_line(done.err)
    assert done.code == 1
    assert "a defect of latbench" in line
    assert "ZeroDivisionError: division by zero" in line
    assert "--debug" in line
    assert "/" not in line


@pytest.mark.parametrize("error", [ZeroDivisionError("by zero"), UsageError("wrong")])
def test_debug_shows_the_traceback(error: Exception, failing: Run) -> None:
    """With --debug the traceback stands before the line."""
    done = failing(error, "--debug")
    assert done.err.startswith("Traceback (most recent call last):")
    assert done.err.splitlines()[-1].startswith("latbench: error: ")


@pytest.mark.parametrize(
    ("number", "mend"), [(errno.ENOSPC, "free some space"), (errno.EACCES, "permission")]
)
def test_an_error_of_the_system_names_file_and_reason(number: int, mend: str, failing: Run) -> None:
    """A full disk or a forbidden file is told with its name, the reason and what helps."""
    done = failing(OSError(number, os.strerror(number), "report.html"))
    assert done.code == 1
    line = one_line(done.err)
    assert line.startswith(f"latbench: error: report.html: {os.strerror(number)}; ")
    assert mend in line


def test_lack_of_memory_is_no_defect(failing: Run) -> None:
    """Too little memory is the machine's, not ours."""
    done = failing(MemoryError())
    assert done.code == 1
    assert "not enough memory" in one_line(done.err)


def test_an_interruption_is_one_line(failing: Run) -> None:
    """Ctrl-C says that nothing measured is lost, with the shell's exit code for it."""
    done = failing(KeyboardInterrupt())
    assert done.code == 130
    assert one_line(done.err) == "latbench: interrupted; everything measured so far is kept"


def test_a_warning_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning has no path and no source line in it."""
    import warnings

    def listing() -> list[object]:
        warnings.warn("one plug-in\nis broken", RuntimeWarning, stacklevel=1)
        return []

    monkeypatch.setattr(registry, "listing", listing)
    done = run("plugins", "--json")
    assert done.code == 0
    assert done.err == "latbench: warning: one plug-in is broken\n"


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_reader_that_stops_early_is_no_error(options: tuple[str, ...], start: Start) -> None:
    """``latbench plugins | head -0`` ends quietly."""
    process = start("plugins", *options)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_under_stdout_is_told(start: Start) -> None:
    """Output that cannot be written is an error, told once."""
    program = textwrap.dedent("""
        import os, sys
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
        from latbench.cli.main import main
        main()
    """)
    process = start("plugins", program=program)
    _, err = process.communicate()
    assert process.returncode == 1
    assert os.strerror(errno.ENOSPC) in one_line(err)


@pytest.mark.skipif(
    not list(Path("/proc/self/task").glob("*/children")), reason="children are not listed here"
)
def test_ctrl_c_ends_the_workers_too(start: Start, tmp_path: Path) -> None:
    """An interrupted measurement leaves no worker and no temporary folder, and exits with 130."""
    program = textwrap.dedent(f"""
        import tempfile
        tempfile.tempdir = {str(tmp_path)!r}
        from latbench.cli.main import main
        main()
    """)
    process = start("doctor", "--seconds", "60", program=program)
    deadline = time.monotonic() + 60
    while not (workers := children(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert workers
    time.sleep(1)  # it has begun its work, and would not end by itself for lack of a task
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "latbench: interrupted; everything measured so far is kept"
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert list(tmp_path.glob("latbench-*")) == []


def children(pid: int) -> list[int]:
    """Return the processes that ``pid`` has started."""
    found = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in listed.read_text(encoding="ascii").split()]
    return found
