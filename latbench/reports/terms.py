"""The words and scores of a report, each explained once."""

from __future__ import annotations

from collections.abc import Iterable

from latbench.reports.markup import Markup, definitions

TERMS = {
    "target": "Everything a latency belongs to: device, runtime with version and options, "
    "precision, batch, threads and timing mode. Latencies of different targets are never mixed.",
    "true latency": "The whole network compiled and measured end to end.",
    "accumulated latency": "The sum of the measured latencies of the network's blocks, each "
    "compiled and measured alone, after pruning of what no output needs.",
    "calibrated latency": "The accumulated latency put through a correction that was fitted on "
    "measured networks.",
    "predicted latency": "What a predictor, fitted on measurements of this target, says before "
    "the network is measured.",
    "expected latency": "The mean of the predicted latencies of the networks that the learned "
    "chances of the options give.",
    "undecided": "How far a search is from having chosen: the entropy of the chances of a choice's "
    "options as a share of the largest possible, the mean of all choices. 100 %: all options are "
    "equally likely; 0 %: one is certain.",
    "interval": "Of a measurement: where the latency lies if it is measured again on this device, "
    "with the noise within the run and the drift between runs. Of a prediction: where the measured "
    "latency lies as often as the stated coverage says.",
    "status": "ok; unconverged (the time budget ended before the interval was narrow enough); "
    "unstable (too many rounds were disturbed, or no steady state); failed (no latency, with the "
    "reason).",
    "p90": "The latency that 90 % of the single runs do not exceed.",
    "MAPE": "Mean absolute percentage error: 100 · mean(|p - y| / y), where y is measured.",
    "bias": "Mean signed percentage error: 100 · mean((p - y) / y). Below 0 the estimate is too "
    "fast, above 0 too slow.",
    "RMSE": "Root of the mean squared error, in units of latency.",
    "within 5 %": "The share of networks with |p - y| of at most 5 % of y; likewise 1 % and 10 %.",
    "Spearman": "Correlation of the ranks: 1 if the estimate puts all networks in the right order.",
    "Kendall": "Kendall's tau-b: pairs in the right order less pairs in the wrong one.",
    "measurement noise": "The MAPE that a perfect predictor would score, because each measurement "
    "errs: from networks that were measured twice, less what the second sweep as a whole differs "
    "by. No estimate can be seen to do better.",
    "interval coverage": "The share of networks, not seen before, whose measured latency lay "
    "within their predicted interval.",
}


def explained(names: Iterable[str]) -> Markup:
    """Return the meaning of each of ``names``, in the order of :data:`TERMS`."""
    wanted = set(names)
    pairs = [(name, text) for name, text in TERMS.items() if name in wanted]
    assert len(pairs) == len(wanted), wanted - set(TERMS)
    return definitions(pairs, class_="terms")
