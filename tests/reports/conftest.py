"""Results as workflows hand them over, with made-up numbers of a realistic size."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from latbench.prediction import metrics
from latbench.reports import (
    BaselineRow,
    Comparison,
    ComparisonRow,
    CourseRow,
    HistoryRow,
    MeasurementOverview,
    MeasurementRow,
    NearestNetwork,
    PredictorScores,
    SearchSummary,
)
from latbench.target import Target

FACTS = {"Processor": "Example CPU 3000, 8 cores", "Memory": "24 GiB", "Governor": None}
OPTIONS = ("mb3k3", "mb3k5", "mb3k7", "mb6k3", "mb6k5", "mb6k7", "skip")
DEPTHS = (4, 4, 4, 4, 4, 1)
PLACES = tuple(
    f"stage{stage}.{place}"
    for stage, depth in enumerate(DEPTHS, start=1)
    for place in range(1, depth + 1)
)


class Document(HTMLParser):
    """Reads a page: its elements, its visible text, and what is wrong with it."""

    VOID = frozenset({"meta", "wbr", "path", "rect", "br", "col", "hr"})
    LOADING = frozenset({"src", "srcset", "href", "action", "data", "poster", "xlink:href"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.objections: list[str] = []
        self.ids: list[str] = []
        self.feed(page)
        self.close()
        self.objections += [f"<{name}> is never closed" for name in self.open]
        self.objections += [f"id {one!r} twice" for one in self.ids if self.ids.count(one) > 1]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        for name, value in attrs:
            if name in self.LOADING and not (value or "").startswith("#"):
                self.objections.append(f"<{tag}> loads {value}")
            if "url(" in (value or "") or name.startswith("on"):
                self.objections.append(f"<{tag}> has {name}={value!r}")
            if name == "id":
                self.ids.append(value or "")
        if given.get("role") == "img" and not given.get("aria-label") and tag != "svg":
            self.objections.append(f"<{tag}> is an image without description")
        if tag == "th" and "scope" not in given:
            self.objections.append("<th> without scope")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.objections.append(f"<{tag}/> is no void element")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.objections.append(f"</{tag}> closes something else")

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.words.append(data)
        if "style" in self.open and re.search(r"@import|url\(", data):
            self.objections.append("the style loads something")


@pytest.fixture
def objections() -> Callable[[str], list[str]]:
    """A function that returns what is wrong with a page: balance, loads, ids, descriptions."""
    return lambda page: Document(page).objections


@pytest.fixture
def visible() -> Callable[[str], str]:
    """A function that returns the text that a reader of a page sees, with plain spaces."""
    return lambda page: " ".join(" ".join(Document(page).words).split())


def architectures(n: int, rng: np.random.Generator) -> list[str]:
    """Return ``n`` architectures as text."""
    return [",".join(rng.choice(OPTIONS, size=len(PLACES))) for _ in range(n)]


@pytest.fixture
def target() -> Target:
    """The target of every result."""
    return Target("cpu", "onnxruntime", "1.31.0", options=(("spinning", "0"),))


@pytest.fixture
def comparison(target: Target) -> Comparison:
    """Forty networks, one unconverged: blocks of stage 2 are too fast alone, and a run costs."""
    rng = np.random.default_rng(1)
    n = 40
    sums = {
        f"stage{number}": rng.uniform(0.6, 1.4, n) * size
        for number, size in enumerate((1.1, 0.9, 0.8, 0.6, 0.7, 0.3), start=1)
    }
    stages = {"stem": np.full(n, 0.42), **sums, "head": np.full(n, 0.31)}
    accumulated = np.sum(list(stages.values()), axis=0)
    true = (accumulated + 0.05 + 0.25 * stages["stage2"]) * rng.normal(1, 0.004, n)
    rows = [
        ComparisonRow(
            arch,
            float(t),
            float(t * 0.992),
            float(t * 1.009),
            float(a),
            float(a * 1.045 + 0.03),
            "unconverged" if number == 7 else "ok",
        )
        for number, (arch, t, a) in enumerate(
            zip(architectures(n, rng), true, accumulated, strict=True)
        )
    ]
    scores = metrics.summary(true, accumulated)
    return Comparison(
        target=target,
        space="mobilenet",
        device_facts=FACTS,
        rows=rows,
        stages={name: list(map(float, values)) for name, values in stages.items()},
        mape=scores["mape"],
        bias=scores["bias"],
        spearman=scores["spearman"],
        within_1=scores["within_1"],
        within_5=scores["within_5"],
        within_10=scores["within_10"],
        noise_mape=0.6,
        calibrated_mape=0.9,
        notes=("One network was measured while the machine was busy.",),
    )


@pytest.fixture
def failed_comparison(comparison: Comparison) -> Comparison:
    """The same with a network that could not be timed and one whose sum is not known."""
    untimed = replace(
        comparison.rows[0], true_ms=None, low_ms=None, high_ms=None, status="failed: no memory"
    )
    unsummed = replace(comparison.rows[1], accumulated_ms=None, calibrated_ms=None)
    return replace(comparison, rows=[untimed, unsummed, *comparison.rows[2:]], noise_mape=None)


@pytest.fixture
def search(target: Target) -> SearchSummary:
    """A search that met its target."""
    rng = np.random.default_rng(2)
    history = []
    for n in range(1, 201):
        predicted = float(rng.uniform(3.4, 5.0) - 0.4 * np.exp(-n / 50))
        score = 0.80 + 0.03 * predicted - 0.03 * np.exp(-n / 40) + float(rng.normal(0, 0.008))
        history.append(HistoryRow(n, min(float(score), 1.0), predicted))
    (arch,) = architectures(1, rng)
    return SearchSummary(
        target=target,
        space="mobilenet",
        device_facts=FACTS,
        algorithm="evolution",
        arch_text=arch,
        arch_json='{"format": "latbench-architecture", "version": 1}',
        choices=dict(zip(PLACES, arch.split(","), strict=True)),
        target_ms=5.0,
        predicted_ms=4.91,
        predicted_low_ms=4.79,
        predicted_high_ms=5.02,
        predicted_coverage=90.0,
        accumulated_ms=4.62,
        true_ms=4.87,
        true_low_ms=4.83,
        true_high_ms=4.92,
        accuracy=0.951,
        accuracy_note="Validation accuracy with the supernet's weights, digits upscaled to 32×32; "
        "the latency is for 224×224.",
        evaluations=200,
        history=history,
        baselines=[
            BaselineRow("fastest", "skip," * 20 + "mb3k3", 2.31, 2.2, 2.33, 2.31, 2.36, 0.832),
            BaselineRow("random", arch, 4.4, 4.2, None, accuracy=0.921),
        ],
        next_commands=["latbench train --arch found.json --data digits"],
    )


@pytest.fixture
def missed(search: SearchSummary) -> SearchSummary:
    """A one-shot search that missed its target, and what is offered instead."""
    rng = np.random.default_rng(4)
    (arch,) = architectures(1, rng)
    course = [
        CourseRow(
            step,
            None if step < 200 else float(4.8 + 2.2 * np.exp(-step / 300) + rng.normal(0, 0.03)),
            float(1 / (1 + np.exp((step - 900) / 250))),
        )
        for step in range(20, 2020, 20)
    ]
    return replace(
        search,
        algorithm="proxylessnas",
        true_ms=5.21,
        true_low_ms=5.16,
        true_high_ms=5.27,
        baselines=(),
        history=search.history[:10],
        course=course,
        expected_ms=4.8,
        most_likely_ms=5.3,
        nearest=NearestNetwork(
            BaselineRow("nearest", arch, 4.63, 4.4, 4.91, 4.86, 4.96, 0.938, 4.5, 4.8),
            '{"format": "latbench-architecture", "version": 2}',
            dict(zip(PLACES, arch.split(","), strict=True)),
            tries=2,
        ),
    )


@pytest.fixture
def overview(target: Target) -> MeasurementOverview:
    """Twelve blocks and two networks; one block failed, one is unstable."""
    rng = np.random.default_rng(3)
    rows = []
    for number in range(12):
        value = float(rng.uniform(0.02, 0.4))
        key = f"mb{3 + 3 * (number % 2)}-k{3 + 2 * (number % 3)}-s1-c{16 + number}@16x56x56"
        rows.append(MeasurementRow(key, "block", value, 0.99 * value, 1.01 * value, 1.1 * value))
    rows[3] = replace(rows[3], status="unstable", reason="38 % of the rounds were disturbed")
    rows[5] = MeasurementRow(
        rows[5].name, "block", None, None, None, None, "failed", "the worker ran out of memory"
    )
    networks = [
        MeasurementRow(arch, "network", 4.5 + n, 4.45 + n, 4.55 + n)
        for n, arch in enumerate(architectures(2, rng))
    ]
    return MeasurementOverview(target, "mobilenet", [*rows, *networks], FACTS, {"Took": "3.1 min"})


@pytest.fixture
def scores(target: Target) -> PredictorScores:
    """A lookup table that beats its baselines."""

    def row(mape: float) -> dict[str, float | None]:
        return {
            "mape": mape,
            "bias": mape / 3 - 0.5,
            "rmse_ms": mape / 20,
            "within_1": 100 / (1 + mape),
            "within_5": 100 / (1 + mape / 20),
            "within_10": 100.0,
            "spearman": 1 - mape / 40,
            "kendall": None,
        }

    return PredictorScores(
        target,
        "mobilenet",
        "lut",
        28,
        12,
        row(1.3),
        {"plain lut": row(5.1), "ridge": row(2.2), "flops": row(11.7)},
        interval_coverage=91.7,
        noise_mape=0.6,
        device_facts=FACTS,
    )
