"""Durations are read with their unit, and refused without one."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latbench.errors import UsageError
from latbench.units import format_bytes, format_ms, parse_bytes, parse_ms

MS_PER_UNIT = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3, "min": 6e4, "h": 3.6e6}
UNITS = sorted(MS_PER_UNIT)
# From below a nanosecond to above a day.
DURATIONS_MS = st.floats(min_value=1e-7, max_value=1e9)


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        ("5ms", 5.0),
        ("800us", 0.8),
        ("800µs", 0.8),
        ("0.005s", 5.0),
        ("10min", 600_000.0),
        ("1h", 3_600_000.0),
        ("250 ns", 0.00025),
        (" .5ms ", 0.5),
        ("5.ms", 5.0),
        ("1e-3s", 1.0),
        ("+2ms", 2.0),
    ],
)
def test_parse_reads(text: str, expected_ms: float) -> None:
    """Every unit, spaces around it and any way of writing a number are understood."""
    assert parse_ms(text) == pytest.approx(expected_ms, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("5", "has no unit; write 5ms"),
        ("0.005", "has no unit; write 0.005ms"),
        ("5 parsecs", "unknown unit 'parsecs'; use one of ns, us, ms, s, min, h"),
        ("0ms", "must be a positive number"),
        ("-5ms", "must be a positive number"),
        ("1e999s", "too large for a duration"),
        ("1e-999s", "must be a positive number"),
        ("", "not a duration; write a number and a unit"),
        ("ms", "not a duration"),
        ("5ms 3us", "not a duration"),
        ("1,5ms", "not a duration"),
        ("nan ms", "not a duration"),
    ],
)
def test_parse_refuses(text: str, advice: str) -> None:
    """What is no positive duration with a unit is refused with the value and the way to mend it."""
    with pytest.raises(UsageError) as refused:
        parse_ms(text)
    assert repr(text) in str(refused.value)
    assert advice in str(refused.value)


@given(number=DURATIONS_MS, unit=st.sampled_from(UNITS))
def test_parse_scales_by_the_unit(number: float, unit: str) -> None:
    """A number means its value times its unit, in whatever unit it is written."""
    assert parse_ms(f"{number!r}{unit}") == pytest.approx(number * MS_PER_UNIT[unit], rel=1e-15)


@given(number=st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_parse_never_takes_a_bare_number(number: float) -> None:
    """No number is a duration by itself."""
    with pytest.raises(UsageError, match="has no unit"):
        parse_ms(repr(number))


@given(text=st.text(max_size=12))
def test_parse_gives_a_duration_or_a_usage_error(text: str) -> None:
    """Any text gives a finite positive number of milliseconds or a UsageError, nothing else."""
    try:
        value_ms = parse_ms(text)
    except UsageError:
        return
    assert 0 < value_ms < math.inf


@pytest.mark.parametrize(
    ("latency_ms", "text"),
    [
        (0.000123456, "0.1235 us"),
        (0.8, "800 us"),
        (1.0, "1 ms"),
        (5.04321, "5.043 ms"),
        (123.456, "123.5 ms"),
        (20_000.0, "20 s"),
    ],
)
def test_format_chooses_the_unit(latency_ms: float, text: str) -> None:
    """Short latencies are written in microseconds, long ones in seconds."""
    assert format_ms(latency_ms) == text


@given(latency_ms=DURATIONS_MS)
def test_format_keeps_four_digits(latency_ms: float) -> None:
    """What is written can be read again, to four significant digits."""
    assert parse_ms(format_ms(latency_ms)) == pytest.approx(latency_ms, rel=5.0001e-4)


@pytest.mark.parametrize(
    ("text", "size"), [("8GiB", 2**33), ("1.5 MiB", 3 * 2**19), ("2GB", 2 * 10**9), (".5kB", 500)]
)
def test_memory_is_read(text: str, size: int) -> None:
    """Binary and decimal units, with and without a space."""
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("8", "write 8GiB"),
        ("8 gb", "use one of kB, MB, GB, KiB, MiB, GiB"),
        ("much", "such as 8GiB"),
        ("-1GiB", "such as 8GiB"),
        ("0MiB", "such as 8GiB"),
        ("9" * 400 + "GB", "such as 8GiB"),
    ],
)
def test_memory_is_refused_with_advice(text: str, advice: str) -> None:
    """What is no amount of memory says how to write one."""
    with pytest.raises(UsageError) as caught:
        parse_bytes(text)
    assert advice in str(caught.value)


@pytest.mark.parametrize(("size", "text"), [(2**30, "1 GiB"), (3 * 2**19, "1.5 MiB")])
def test_memory_is_written(size: int, text: str) -> None:
    """In the unit that suits it."""
    assert format_bytes(size) == text
