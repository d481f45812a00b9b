"""What must not leave the machine inside an exported table: host names and absolute paths."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_BEFORE = r"(?:^|(?<=[\s\"'`=(\[{,:;|<>]))"
_PATH = re.compile(
    rf"{_BEFORE}(?:/+[\w.@+~-]|~[\w.-]*/)"  # /home/someone, sqlite:////home, ~/models
    r"|(?<!\w)[A-Za-z]:[\\/]"  # C:\Users
    r"|\\\\\w"  # \\server\share
    r"|\bfile:"
)
_WEB_ADDRESS = re.compile(r"\bhttps?://\S+")
# A row may come from another machine, whose name is not known here.
_HOST_KEYS = frozenset({"host", "hostname", "host_name", "nodename", "fqdn"})


def leaks(value: Any, host: str, key: str) -> Iterator[tuple[str, str]]:
    """Yield what a JSON value tells about the machine, as (dotted key, what it is).

    A text equal to the host name tells it, and so does a longer text with the host name as a
    word, unless the host is called by a plain word such as ``ubuntu`` that means many things.

    Args:
        value: the JSON value.
        host: the name of this machine.
        key: the name of the value.
    """
    if isinstance(value, Mapping):
        for name, part in value.items():
            # A mapping under such a key describes a host; its parts may name it.
            if name.lower() in _HOST_KEYS and part and not isinstance(part, Mapping):
                yield f"{key}.{name}", "a host name"
            elif what := _told(name, host):
                yield f"a name inside {key}", what
            else:
                yield from leaks(part, host, f"{key}.{name}")
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            yield from leaks(part, host, f"{key}[{number}]")
    elif isinstance(value, str) and (what := _told(value, host)):
        yield key, what


def _told(text: str, host: str) -> str | None:
    if _PATH.search(_WEB_ADDRESS.sub("", text)):
        return "an absolute path"
    for name in {host, host.partition(".")[0]} - {"", "localhost"}:
        word = rf"(?<![\w-]){re.escape(name)}(?![\w-])"
        if text.lower() == name.lower() or (not name.isalpha() and re.search(word, text, re.I)):
            return "this machine's host name"
    return None
