"""``latbench evaluate`` prints the errors of latencies beside the ranks that papers give."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

import latbench
from latbench.cli.evaluate import _means
from latbench.prediction import metrics
from latbench.workflows.protocols.help_tables import FBNET
from latbench.workflows.protocols.rows import Row, ours

HEADS = ("mape", "rmse", "±1 %", "±5 %", "±10 %", "spearman", "kendall")


def printed(rows: list[Row]) -> list[str]:
    """Return the lines of the means on a terminal of 100 columns; none where there are none."""
    means = _means("help-nb201", rows)
    if means is None:
        return []
    console = Console(width=100, file=StringIO())
    console.print(means)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


def test_the_means_of_every_score_fit_100_columns() -> None:
    """Whole heads, one row a method with its labels, and a dash for what a paper does not tell."""
    y = np.array([1.0, 2.0, 4.0, 8.0])
    found = metrics.summary(y, 1.03 * y)
    published = Row("HELP", 10, True, {"v100": 0.932}, 0.932, source="Table 3")
    mine = ours("transfer, labels drawn at random", 10, False, [{"v100": found, "t4": found}])
    lines = printed([published, *mine])
    assert max(map(len, lines)) <= 100
    assert any(all(head in line for head in HEADS) for line in lines)
    (helps,) = (line for line in lines if "HELP " in line)
    assert "0.9320" in helps
    assert helps.count("–") == len(HEADS) - 1
    (told,) = (line for line in lines if "3.000" in line)
    for value in (found["rmse_ms"], 0.0, 100.0, 1.0):
        assert f"{value:#.4g}" in told


def test_what_predicts_no_latencies_has_no_means() -> None:
    """A protocol of sums has scores of its own."""
    assert not printed([Row("sums", None, None, {"E 3": 72.4}, None, score="sum_ms")])


def test_the_command_prints_them(run: Any, tmp_path: Path) -> None:
    """Below the ranks, for published rows and ours."""
    space = latbench.space(FBNET.public.space)
    rng = np.random.default_rng(0)
    X = space.sample(rng, FBNET.public.networks)
    columns: dict[str, Any] = {
        "arch_idx": range(len(X)),
        FBNET.public.column: ["_".join(map(str, x)) for x in X],
    }
    for device in (*FBNET.devices, *FBNET.sources):
        columns[device] = 1.0 + space.one_hot(X) @ rng.uniform(0.1, 1.0, sum(space.sizes))
    pd.DataFrame(columns).to_csv(tmp_path / FBNET.public.file, index=False)
    done = run("evaluate", "help-fbnet", "--data", tmp_path, "--labels", 10, "--seeds", 1)
    assert done.code == 0, done.err
    below = done.out.split("help-fbnet, means")[1]
    assert all(head in below for head in HEADS)
    assert all(method in below for method in ("HELP", "latbench transfer, labels chosen"))
