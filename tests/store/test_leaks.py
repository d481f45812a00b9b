"""What tells where a measurement was made."""

from __future__ import annotations

import pytest

from latbench.store.leaks import leaks


@pytest.mark.parametrize(
    "text",
    [
        "/home/someone/model.onnx",
        "/model.onnx",
        "cannot open /home/someone/model.onnx",
        "LD_LIBRARY_PATH=/usr/lib",
        "sqlite:////srv/latbench.db",
        "~/models",
        "~someone/models",
        r"C:\Users\someone",
        "C:/Users/someone",
        r"\\server\share",
        "file:model.onnx",
        '"/opt/tensorrt/lib"',
        "a:/usr/lib:/lib",
    ],
)
def test_absolute_path_is_found(text: str) -> None:
    """Alone or inside a longer text."""
    assert list(leaks({"a": {"b": [0, text]}}, "box-17", "p")) == [("p.a.b[1]", "an absolute path")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Intel(R) Xeon(R) CPU @ 2.20GHz",
        "runs/s",
        "and/or",
        "3.11.4 (main, Jun 2023)",
        "stem/3x224x224",
        "see https://onnxruntime.ai/docs/install",
        "2024-01-01T00:00:00",
        "+/- 1 %",
        "linux-x86_64",
        "box-170",
        "a~b",
    ],
)
def test_harmless_text_passes(text: str) -> None:
    """Units, versions, addresses of documentation and relative names tell nothing."""
    assert list(leaks({text: text, "n": [1, 2.5, None, True]}, "box-17", "p")) == []


@pytest.mark.parametrize(
    "text", ["box-17", "BOX-17", "box-17.lab.example", "Linux box-17 6.1.0", "box-17:8080"]
)
def test_host_name_is_found(text: str) -> None:
    """With its domain or without, alone or as a word."""
    for host in ("box-17", "box-17.lab.example"):
        assert list(leaks([text], host, "p")) == [("p[0]", "this machine's host name")]


def test_host_with_a_plain_name_is_found_alone_only() -> None:
    """A machine called ubuntu must not forbid the name of its system."""
    assert list(leaks("ubuntu", "ubuntu", "p")) == [("p", "this machine's host name")]
    assert list(leaks("Ubuntu 24.04", "ubuntu", "p")) == []
    assert list(leaks("localhost", "localhost", "p")) == []


def test_key_can_tell_as_well() -> None:
    """A host's name under its own key, another machine's too, and a path used as a key."""
    assert list(leaks({"hostname": "farm3"}, "box-17", "p")) == [("p.hostname", "a host name")]
    found = list(leaks({"/usr/lib/libcudart.so": 12}, "box-17", "p"))
    assert found == [("a name inside p", "an absolute path")]
