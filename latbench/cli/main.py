"""The console script: runs a command and turns whatever goes wrong into one line."""

from __future__ import annotations

import errno
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, TextIO

import click

from latbench.cli.commands import latbench
from latbench.cli.session import Session
from latbench.errors import LatbenchError

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130

_COMPLETION = "_LATBENCH_COMPLETE"
_MEND_BY_ERRNO = {
    errno.ENOSPC: "free some space and run again",
    errno.EDQUOT: "free some space and run again",
    errno.EACCES: "give yourself the permission, or name another place",
    errno.EPERM: "give yourself the permission, or name another place",
    errno.EROFS: "name a place that can be written",
    errno.ENOENT: "check the name",
}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code: 0 done, 1 failed, 2 wrong usage."""
    if _COMPLETION in os.environ:  # a shell asks what could come next
        latbench.main(prog_name="latbench", complete_var=_COMPLETION)
    code = run(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.stdout.flush()
    except OSError:  # told by now; the interpreter must not fail over it once more
        _abandon_stdout()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run the command of ``arguments`` and return its exit code; errors are told on stderr."""
    session = Session()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            with latbench.make_context("latbench", list(arguments), obj=session) as context:
                latbench.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except BrokenPipeError:
        return DONE  # whoever read our output has seen enough
    except (KeyboardInterrupt, click.Abort) as stopped:
        _show_traceback(session)
        _tell(f"interrupted; {str(stopped) or 'everything measured so far is kept'}")
        return INTERRUPTED
    # The last stop: whatever it is, the user gets one line and never a traceback unasked.
    except Exception as error:  # noqa: BLE001
        _show_traceback(session)
        text, code = _explained(error)
        _tell(f"error: {' '.join(text.split())}")
        return code
    return DONE


def _explained(error: Exception) -> tuple[str, int]:
    """Return what to say about ``error``, and the exit code."""
    if isinstance(error, LatbenchError):
        return str(error), error.exit_code
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx is not None else "latbench"
        said = error.format_message().rstrip(".")
        return f"{said[:1].lower()}{said[1:]} (see {command} --help)", WRONG_USAGE
    if isinstance(error, click.ClickException):
        return error.format_message(), error.exit_code
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename is not None else ""
        mend = _MEND_BY_ERRNO.get(error.errno or 0)
        return f"{where}{error.strerror or error}{'; ' + mend if mend else ''}", FAILED
    if isinstance(error, MemoryError):
        return f"not enough memory ({error or 'no more is told'}); ask for less at once", FAILED
    what = f"{type(error).__name__}: {error} ({_place(error)})"
    return (
        f"a defect of latbench, or of a plug-in: {what}; run it again with --debug for the "
        "traceback, and report it",
        FAILED,
    )


def _place(error: Exception) -> str:
    """Return where ``error`` was raised, without a path."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}, line {last.lineno}"


def _show_traceback(session: Session) -> None:
    if session.debug:
        traceback.print_exc()


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    _tell(f"warning: {' '.join(str(message).split())}")


def _tell(text: str) -> None:
    print(f"latbench: {text}", file=sys.stderr)


def _abandon_stdout() -> None:
    """Send what is still in stdout's buffer nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
