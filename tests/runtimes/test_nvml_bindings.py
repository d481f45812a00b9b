"""What latbench calls of NVML exists in the package ``nvidia-ml-py``, and takes its arguments.

latbench runs over a fake of it, which is held to the real one where that is installed; it imports
without a driver.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from latbench.devices import watch_card
from tests.runtimes.fake_cuda import FakeGpu, make_pynvml


@pytest.fixture(scope="module")
def real() -> Any:
    """The module ``pynvml`` that is installed here."""
    return pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed here")


def names_in(fake: ModuleType) -> dict[str, Any]:
    """Return what a fake has, by name."""
    return {name: value for name, value in vars(fake).items() if not name.startswith("__")}


def test_the_fake_has_no_name_of_its_own(real: Any) -> None:
    """Functions and exceptions are theirs, and numbers are equal."""
    for name, value in names_in(make_pynvml(FakeGpu())["pynvml"]).items():
        assert hasattr(real, name), f"pynvml has no {name}"
        if isinstance(value, int):
            assert value == getattr(real, name), name
        elif isinstance(value, type):
            theirs = [one.__name__ for one in getattr(real, name).__mro__]
            assert [one.__name__ for one in value.__mro__] == theirs
        else:
            assert callable(getattr(real, name))


def test_calls_fit_the_real_functions(real: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call of a reading, by the number and the names of its arguments."""
    called = set()

    def checked(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            inspect.signature(getattr(real, name)).bind(*args, **kwargs)
            called.add(name)
            return function(*args, **kwargs)

        return call

    fake = make_pynvml(FakeGpu())["pynvml"]
    functions = {
        name: value
        for name, value in names_in(fake).items()
        if callable(value) and not isinstance(value, type)
    }
    for name, function in functions.items():
        setattr(fake, name, checked(name, function))
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    watch, reason = watch_card("v100")
    assert watch is not None, reason
    assert None not in watch.state().to_dict().values()
    del watch
    assert called == set(functions)
