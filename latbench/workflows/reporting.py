"""From results to what the reports show."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from latbench.prediction import metrics
from latbench.reports import (
    BaselineRow,
    Comparison,
    ComparisonRow,
    CourseRow,
    HistoryRow,
    Inside,
    MeasurementOverview,
    MeasurementRow,
    NearestNetwork,
    PredictorScores,
    SearchSummary,
)
from latbench.units import format_ms

if TYPE_CHECKING:
    import pandas as pd

    from latbench.target import Target
    from latbench.workflows.compare import Compared
    from latbench.workflows.fit import Fitted
    from latbench.workflows.found import Found, Timed
    from latbench.workflows.measured import Measured

Facts = Mapping[str, Mapping[str, Any]]
"""Facts of each instance by its id, as the store keeps them."""

_HOST_FACTS = {
    "model_name": "processor",
    "physical_cores": "cores",
    "hypervisor": "virtual machine",
    "kernel": "kernel",
}


def comparison(found: Compared, facts: Facts, inside: Inside | str | None = None) -> Comparison:
    """Return what the report of a comparison shows, with one network from ``inside``."""
    measured, scores = found.measured, found.scores
    calibrated = None if found.calibrated_ms is None else found.calibrated_ms.tolist()
    frame = measured.networks
    rows = [
        ComparisonRow(
            arch=row["key"],
            true_ms=row["latency_ms"],
            low_ms=row["low_ms"],
            high_ms=row["high_ms"],
            accumulated_ms=accumulated_ms,
            calibrated_ms=None if calibrated is None else calibrated[place],
            status=row["status"],
        )
        for place, (row, accumulated_ms) in enumerate(
            zip(frame.to_dict("records"), found.accumulated_ms.tolist(), strict=True)
        )
    ]
    return Comparison(
        target=measured.target,
        space=described(measured.space.spec),
        device_facts=device_facts(frame, facts),
        rows=rows,
        stages={name: values.tolist() for name, values in found.stage_ms.items()},
        mape=scores["mape"],
        bias=scores["bias"],
        spearman=scores["spearman"],
        within_1=scores["within_1"],
        within_5=scores["within_5"],
        within_10=scores["within_10"],
        noise_mape=measured.noise_mape,
        calibrated_mape=None if calibrated is None else metrics.mape(measured.y, calibrated),
        notes=measured.notes(),
        inside=inside,
    )


def overview(measured: Measured, facts: Facts, more: Mapping[str, str]) -> MeasurementOverview:
    """Return what the report of measurements shows."""
    rows = [
        MeasurementRow(
            name=row["key"],
            kind=kind,
            latency_ms=row["latency_ms"],
            low_ms=row["low_ms"],
            high_ms=row["high_ms"],
            p90_ms=row["p90_ms"],
            status=row["status"],
            reason=row["reason"],
        )
        for kind, frame in (("block", measured.blocks), ("network", measured.networks))
        for row in frame.to_dict("records")
    ]
    return MeasurementOverview(
        target=measured.target,
        space=described(measured.space.spec),
        rows=rows,
        device_facts=device_facts(measured.networks, facts),
        facts=more,
        notes=measured.notes(),
    )


def predictor_scores(
    fitted: Fitted, target: Target, nominal: float, facts: Mapping[str, object]
) -> PredictorScores:
    """Return what the report of a predictor shows."""
    return PredictorScores(
        target=target,
        space=described(fitted.predictor.space.spec),
        kind=fitted.predictor.kind,
        n_train=fitted.n_train,
        n_test=fitted.n_test,
        scores=fitted.scores,
        baselines=fitted.baselines,
        interval_coverage=fitted.interval_coverage,
        nominal_coverage=100 * nominal,
        noise_mape=fitted.noise_mape,
        device_facts=facts,
        notes=fitted.notes,
    )


def search_summary(
    found: Found, facts: Mapping[str, object], next_commands: Sequence[str]
) -> SearchSummary:
    """Return what the report of a search shows."""
    space, result, timed = found.space, found.result, found.timed
    document = space.to_json(timed.x)
    return SearchSummary(
        target=found.target,
        space=described(space.spec),
        algorithm=result.kind,
        arch_text=space.decode(timed.x),
        arch_json=json.dumps(document, indent=2),
        choices=document["choices"],
        target_ms=found.target_ms,
        predicted_ms=timed.predicted_ms,
        predicted_low_ms=timed.predicted_low_ms,
        predicted_high_ms=timed.predicted_high_ms,
        predicted_coverage=found.predicted_coverage,
        accumulated_ms=timed.accumulated_ms,
        true_ms=timed.true.latency_ms,
        true_low_ms=timed.true.low_ms,
        true_high_ms=timed.true.high_ms,
        true_status=timed.true.status,
        accuracy=_share(found.accuracy),
        accuracy_note=found.data,
        evaluations=result.evaluations,
        history=[HistoryRow(row["n"], row["score"], row["predicted_ms"]) for row in result.history],
        course=[
            CourseRow(int(row["step"]), row.get("expected_ms"), row["entropy"])
            for row in found.course
        ],
        expected_ms=result.details.get("expected_ms"),
        most_likely_ms=result.details.get("most_likely_ms"),
        nearest=_nearest(found),
        notes=found.notes,
        next_commands=next_commands,
        device_facts=facts,
    )


def _nearest(found: Found) -> NearestNetwork | None:
    if found.nearest is None:
        return None
    timed = found.nearest.timed
    document = found.space.to_json(timed.x)
    row = BaselineRow(
        "nearest",
        found.space.decode(timed.x),
        timed.predicted_ms,
        timed.accumulated_ms,
        timed.true.latency_ms,
        timed.true.low_ms,
        timed.true.high_ms,
        _share(found.nearest.accuracy),
        timed.predicted_low_ms,
        timed.predicted_high_ms,
    )
    return NearestNetwork(
        row, json.dumps(document, indent=2), document["choices"], found.nearest.tries
    )


def _share(score: float) -> float | None:
    """Return a score if it can be an accuracy; a surrogate may tell something else."""
    return score if 0 <= score <= 1 else None


def headline(found: Found) -> str:
    """Return the result of a search in a few sentences."""
    verdict = "meets" if found.met else "MISSES"
    first = (
        f"The found network measures {_measured(found.timed)} and {verdict} the target of "
        f"{format_ms(found.target_ms)}; validation accuracy {found.accuracy:.2%} ({found.data})."
    )
    nearest = found.nearest
    if nearest is None:
        return first
    offer = "The nearest that meets it" if nearest.met else "The fastest tried after it"
    return (
        f"{first}\n{offer} measures {_measured(nearest.timed)}; validation accuracy "
        f"{nearest.accuracy:.2%}: {found.space.decode(nearest.timed.x)}"
    )


def _measured(timed: Timed) -> str:
    true = timed.true
    return (
        f"{format_ms(true.latency_ms)} ({format_ms(true.low_ms)} to {format_ms(true.high_ms)}, "
        f"{true.status}; predicted {format_ms(timed.predicted_ms)}, sum of its blocks "
        f"{format_ms(timed.accumulated_ms)})"
    )


def described(spec: Mapping[str, Any]) -> str:
    """Return a space in words: its name, and the image size that the latency is for."""
    size = spec["options"].get("image_size")
    return spec["name"] if size is None else f"{spec['name']} at {size}×{size}"


def device_facts(frame: pd.DataFrame, facts: Facts) -> dict[str, object]:
    """Return what a reader wants to know of the machine that measured ``frame``."""
    return device_facts_of(facts.get(str(frame["instance"].iloc[-1]), {})) if len(frame) else {}


def device_facts_of(facts: Mapping[str, Any]) -> dict[str, object]:
    """Return what a reader wants to know of an instance with these ``facts``."""
    host = facts.get("host", {})
    memory = host.get("memory_bytes")
    return {
        **{name: host.get(field) for field, name in _HOST_FACTS.items()},
        "memory": None if memory is None else f"{memory / 2**30:.1f} GiB",
    }
