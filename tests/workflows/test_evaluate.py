"""The papers' protocols, on their own data where it is here, and on made-up tables."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import latbench
from latbench.errors import UsageError
from latbench.prediction import metrics
from latbench.workflows.evaluate import evaluate
from latbench.workflows.protocols import help, nasflat, public_tables
from latbench.workflows.protocols.help_tables import FBNET, NB201, Table
from latbench.workflows.protocols.rows import Request, Row

DATA = os.environ.get("LATBENCH_EVAL_DATA") or None
needs_data = pytest.mark.skipif(DATA is None, reason="LATBENCH_EVAL_DATA names no data")

ON_HELPS_TABLES = ("help-nb201", "help-fbnet", "nasflat-fbnet", "nasflat-nb201", "nb201-900")

DEVICES = {
    suite.public.file: sorted(
        {name for task in suite.tasks.values() for name in (*task.sources, *task.targets)}
    )
    for suite in (nasflat.NB201, nasflat.FBNET)
}


def ours(
    rows: list[Row], method: str, score: str = "spearman"
) -> dict[tuple[int | None, bool | None], Row]:
    """Return our rows of a method by labels and trimming, for one score."""
    return {
        (row.labels, row.trimmed): row
        for row in rows
        if row.method == f"latbench {method}" and row.score == score
    }


def only(table: Table, method: str) -> Table:
    """Return ``table`` with one of our methods."""
    return replace(table, ours={method: table.ours[method]})


def mean(row: Row) -> float:
    """Return the mean of a row that has one."""
    assert row.mean is not None
    return row.mean


@needs_data
def test_known_figures_come_out_again() -> None:
    """A ridge on one-hot edges and counts reaches what was measured with it before.

    .793, .898, .936 and .947 with 10, 20, 50 and 100 labels were means of ten seeds of other
    draws, so three standard errors of the difference are allowed.
    """
    ridge = "ridge: edges one-hot, operation counts"
    found = ours(help.rows(only(NB201, ridge), Request(Path(DATA or ""))), ridge)
    for labels, mean in ((10, 0.793), (20, 0.898), (50, 0.936), (100, 0.947)):
        row = found[labels, True]
        assert row.spread is not None
        assert row.mean == pytest.approx(mean, abs=3 * row.spread * (2 / 10) ** 0.5)


@needs_data
def test_transfer_passes_help_with_ten_labels() -> None:
    """Ten chosen labels reach .94 in the mean, where HELP has .932 with up to twenty."""
    method = "transfer, labels chosen"
    request = Request(Path(DATA or ""), labels=(10,), seeds=5)
    assert mean(ours(help.rows(only(NB201, method), request), method)[10, True]) > 0.94


@needs_data
def test_transfer_passes_nasflat() -> None:
    """Twenty chosen labels rank better than NASFLAT's on each of its six tasks."""
    rows = evaluate("nasflat-fbnet", Request(Path(DATA or ""), seeds=2))
    own = ours(rows, "transfer, labels chosen")[20, False].scores
    (theirs,) = (row.scores for row in rows if row.method == "NASFLAT")
    assert all((own[task] or 0) > (theirs[task] or 0) for task in theirs)


@needs_data
def test_trimming_makes_ranking_harder() -> None:
    """Without the extremes, which are easy to tell apart, every score is lower."""
    ridge = "ridge: operation counts"
    request = Request(Path(DATA or ""), labels=(50,), seeds=5)
    found = ours(help.rows(only(NB201, ridge), request), ridge)
    assert mean(found[50, True]) < mean(found[50, False])


@pytest.mark.parametrize("name", ON_HELPS_TABLES)
def test_seeds_repeat(name: str, made_up: Path) -> None:
    """Equal seeds give equal rows, other seeds others."""
    request = Request(made_up, labels=(10,), seeds=1)
    assert evaluate(name, request) == evaluate(name, request)
    assert evaluate(name, request) != evaluate(name, Request(made_up, (10,), 1, seed=5))


def test_published_rows_come_first(made_up: Path) -> None:
    """The paper's rows name their source and have no spread; ours have one."""
    rows = evaluate("help-fbnet", Request(made_up, labels=(10,), seeds=3))
    split = len(FBNET.published)
    assert all(row.source and row.spread is None for row in rows[:split])
    assert all(not row.source and row.spread is not None for row in rows[split:])


def test_a_sum_over_operations_is_found(made_up: Path) -> None:
    """Latencies that are a sum over operation counts are ranked almost without error."""
    rows = evaluate("help-nb201", Request(made_up, labels=(100,), seeds=1))
    for method in ("ridge: operation counts", "transfer, labels drawn at random"):
        assert mean(ours(rows, method)[100, True]) > 0.99


@pytest.mark.parametrize(
    ("name", "baselines"),
    [
        ("help-fbnet", ("flops", "params")),
        ("nasflat-nb201", ("flops", "params", "ridge")),
        ("nb201-900", ("flops", "params", "ridge")),
    ],
)
def test_every_score_has_a_row(name: str, baselines: tuple[str, ...], made_up: Path) -> None:
    """Beside the rank correlation stand the errors, of the same methods and labels.

    What everybody has stands beside ours, on every device or task.
    """
    rows = [row for row in evaluate(name, Request(made_up, (10,), 1)) if not row.source]
    by_score = {
        score: [
            (row.method, row.labels, row.trimmed)
            for row in rows
            if row.score == score and not row.method.startswith("latbench ceiling")
        ]
        for score in metrics.summary([1.0], [1.0])
    }
    assert all(found == by_score["spearman"] for found in by_score.values())
    for baseline in baselines:
        found = ours(rows, baseline)
        assert found
        assert all(None not in row.scores.values() for row in found.values())


@pytest.mark.parametrize("table", [NB201, FBNET])
def test_a_line_in_macs_ranks_as_they_do(table: Table, made_up: Path) -> None:
    """HELP's FLOPs row is such a ranking, and ours is beside it."""
    rows = help.rows(only(table, "flops"), Request(made_up, labels=(100,), seeds=1))
    read = public_tables.load(table.public, made_up, table.devices, table.queries.stop)
    queries = np.array(table.queries)
    macs = read.space.macs(read.X[queries])
    for device, score in ours(rows, "flops")[100, False].scores.items():
        assert score == pytest.approx(metrics.spearman(read.y[device][queries], macs))


def test_the_table_may_be_named_itself(made_up: Path) -> None:
    """Data is a folder, a folder with a folder help in it, or the file."""
    request = Request(made_up, labels=(10,), seeds=1)
    expected = evaluate("help-fbnet", request)
    for data in (made_up / FBNET.public.file, made_up.parent):
        assert evaluate("help-fbnet", Request(data, labels=(10,), seeds=1)) == expected


def test_progress_ends_at_the_total(made_up: Path) -> None:
    """What is told counts up to all of it."""
    told: list[tuple[int, int]] = []
    request = Request(
        made_up, labels=(10, 20), seeds=1, report=lambda done, total: told.append((done, total))
    )
    evaluate("help-fbnet", request)
    assert [done for done, _ in told] == list(range(1, told[-1][1] + 1))


@pytest.mark.parametrize("labels", [2, 721])
def test_more_labels_than_there_are_is_refused(labels: int, made_up: Path) -> None:
    """The trimmed pool of Table 3 holds 720 networks."""
    with pytest.raises(UsageError, match="3 to 720"):
        evaluate("help-nb201", Request(made_up, labels=(labels,)))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda frame: frame.drop(columns="fpga"), "no column 'fpga'"),
        (lambda frame: frame.drop(columns="arch_idx"), "no column 'arch_idx'"),
        (lambda frame: frame.iloc[1:], "networks 0 to 4999"),
        (lambda frame: pd.concat([frame, frame]), "once each"),
        (lambda frame: frame.assign(fpga=-1.0), "not above zero"),
        (lambda frame: frame.assign(fpga="fast"), "holds no number"),
        (lambda frame: frame.assign(op_idx="1_2"), "no architectures"),
        (lambda frame: frame.assign(op_idx="a_b"), "no architectures"),
    ],
)
def test_a_spoilt_table_is_named(spoil: "object", says: str, made_up: Path, tmp_path: Path) -> None:
    """What is wrong with a table is told with its file."""
    assert callable(spoil)
    path = tmp_path / FBNET.public.file
    spoil(pd.read_csv(made_up / FBNET.public.file)).to_csv(path, index=False)
    with pytest.raises(UsageError, match=says) as caught:
        evaluate("help-fbnet", Request(tmp_path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b\x08broken", b"PK\x03\x04"])
def test_a_damaged_file_is_named(content: bytes, tmp_path: Path) -> None:
    """A file that is no table is told as such."""
    (tmp_path / FBNET.public.file).write_bytes(content)
    with pytest.raises(UsageError, match="cannot be read as a table"):
        evaluate("help-fbnet", Request(tmp_path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """Without the file, its name and the folder are told."""
    with pytest.raises(UsageError, match=FBNET.public.file):
        evaluate("help-fbnet", Request(tmp_path))


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tables like HELP's, whose latencies are sums over operation counts."""
    folder = tmp_path_factory.mktemp("data") / "help"
    folder.mkdir()
    for table in (NB201, FBNET):
        _make_up(table).to_csv(folder / table.public.file, index=False)
    return folder


def _make_up(table: Table) -> pd.DataFrame:
    public = table.public
    space = latbench.space(public.space)
    rng = np.random.default_rng(3)
    X = space.sample(rng, public.networks)
    texts = [space.decode(x) if table is NB201 else "_".join(map(str, x)) for x in X]
    one_hot = space.one_hot(X).reshape(len(X), len(space.choices), -1)
    columns = {"arch_idx": range(len(X)), public.column: texts}
    for device in DEVICES[public.file]:
        cost_ms = rng.uniform(0.5, 5.0, one_hot.shape[2])
        columns[device] = 1.0 + one_hot.sum(axis=1) @ cost_ms
    return pd.DataFrame(columns)
