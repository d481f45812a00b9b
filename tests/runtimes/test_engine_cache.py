"""What is kept is found again by all that it was made from, and by nothing else."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from latbench.errors import LatbenchError
from latbench.runtimes.engine_cache import EngineCache, default_cache

FACTS = {"model": "abc", "version": "10.4", "shape": [1, 2]}


def test_what_is_kept_is_found_again(tmp_path: Path) -> None:
    """Bytes of any kind come back, the order of the facts does not matter, later ones win."""
    cache = EngineCache(tmp_path / "new")
    assert cache.get(FACTS) is None
    cache.put(FACTS, b"line\nother\0")
    assert cache.get(dict(reversed(FACTS.items()))) == b"line\nother\0"
    cache.put(FACTS, b"")
    assert cache.get(FACTS) == b""
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_what_is_kept_is_found_by_its_hash(tmp_path: Path) -> None:
    """Whatever it was made from; what was cut off has another hash."""
    cache = EngineCache(tmp_path / "new")
    digest = hashlib.sha256(b"one\nengine").hexdigest()
    assert cache.with_hash(digest) is None
    cache.put(FACTS, b"one\nengine")
    cache.put({**FACTS, "model": "def"}, b"another")
    assert cache.with_hash(digest) == b"one\nengine"
    for file in (tmp_path / "new").iterdir():
        file.write_bytes(file.read_bytes()[:-1])
    assert cache.with_hash(digest) is None


@pytest.mark.parametrize("name", list(FACTS))
def test_other_facts_find_nothing(tmp_path: Path, name: str) -> None:
    """Each of them is part of what it is known by."""
    cache = EngineCache(tmp_path)
    cache.put(FACTS, b"engine")
    assert cache.get({**FACTS, name: "another"}) is None


@pytest.mark.parametrize("damage", [b"", b"{}", b"{}\nengine"])
def test_a_file_that_was_touched_is_not_used(tmp_path: Path, damage: bytes) -> None:
    """Cut off, emptied, or another one under its name."""
    cache = EngineCache(tmp_path)
    cache.put(FACTS, b"engine")
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for content in (damage, whole[:-1], whole + b"x"):
        file.write_bytes(content)
        assert cache.get(FACTS) is None
    file.write_bytes(whole)
    assert cache.get(FACTS) == b"engine"


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """What to do is said, and nothing is left."""
    (tmp_path / "file").touch()
    with pytest.raises(LatbenchError, match=r"engines cannot be kept \(.+\); set XDG_CACHE_HOME"):
        EngineCache(tmp_path / "file" / "folder").put(FACTS, b"engine")


def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It lies where the system keeps what may be deleted."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    default_cache().put(FACTS, b"engine")
    assert list((tmp_path / "cache" / "latbench" / "tensorrt").iterdir())
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    default_cache().put(FACTS, b"engine")
    assert list((tmp_path / "home" / ".cache" / "latbench" / "tensorrt").iterdir())
