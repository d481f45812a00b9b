"""The model card of a saved predictor: what it is for, from what, how good, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latbench.errors import UsageError
from latbench.target import Target

FIELDS = {
    "data": "what it was fitted and tested on, in a sentence",
    "scores": "score name -> value on networks it had not seen",
    "baselines": "baseline -> its scores by the same names on the same networks",
    "made": "the command or call that made it",
}
"""What a card must say beside what the predictor itself knows."""


def check_card(card: Mapping[str, Any]) -> None:
    """Refuse a card that leaves something out.

    Raises:
        UsageError: a field of :data:`FIELDS` is missing.
    """
    for name, meaning in FIELDS.items():
        if name not in card:
            raise UsageError(f"the model card has no {name!r}; give {meaning}")


def render(kind: str, space: str, target: Target, created: str, card: Mapping[str, Any]) -> str:
    """Return the card as Markdown.

    Args:
        kind: registered name of the predictor.
        space: the space as text.
        target: what its latencies belong to.
        created: date and time, ISO 8601.
        card: has at least the :data:`FIELDS`; other entries are listed under their names.
    """
    rows = {kind: card["scores"], **card["baselines"]}
    columns = list(card["scores"])
    lines = [
        f"# Latency predictor: {kind}",
        "",
        f"- Target: {target.label}, timing mode {target.mode}",
        f"- Space: `{space}`",
        f"- Data: {card['data']}",
        f"- Made: {created} by `{card['made']}`",
        *(f"- {name}: {value}" for name, value in card.items() if name not in FIELDS),
        "",
        "It predicts latencies of this target only, in ms.",
        "",
        "## Scores, baselines below",
        "",
        "Relative errors and shares are percent.",
        "",
        f"| predictor | {' | '.join(columns)} |",
        "|---|" + "---:|" * len(columns),
        *(
            f"| {name} | {' | '.join(_cell(scores.get(column)) for column in columns)} |"
            for name, scores in rows.items()
        ),
        "",
    ]
    return "\n".join(lines)


def _cell(score: float | None) -> str:
    return "-" if score is None else f"{score:.4g}"
