"""The protocol neusight: which kernels are scored together, and what is refused."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from latbench.errors import UsageError
from latbench.prediction import metrics
from latbench.workflows.evaluate import evaluate
from latbench.workflows.protocols import neusight
from latbench.workflows.protocols.rows import Request, Row

DATA = os.environ.get("LATBENCH_EVAL_DATA") or None
needs_data = pytest.mark.skipif(DATA is None, reason="LATBENCH_EVAL_DATA names no data")

SEEN, UNSEEN = "Old GPU", "NVIDIA L4"
CONFIG = {"Mem_Bw": 300, "Num_Sm": 60, "SingleFLOPs": 30_000}
PLAIN, TREES = neusight.OURS


def error(rows: list[Row], method: str, group: str) -> dict[str, float | None]:
    """Return the errors of a row of ours, by operator or GPU."""
    named = [row for row in rows if row.method == f"latbench {method}: {group}"]
    (row,) = (row for row in named if row.score in neusight.SHOWN)
    return dict(row.scores)


def kernels(
    operators: tuple[str, ...], shapes: tuple[str, ...], gpu: str, most: int
) -> pd.DataFrame:
    """Return kernels whose latency is what a launch takes, and the bytes moved."""
    rng = np.random.default_rng(most)
    sizes = {name: rng.integers(1, most + 1, 40) for name in shapes}
    frame = pd.DataFrame({"OPName": np.resize(operators, 40), "Device": gpu, **sizes})
    frame.loc[0, list(shapes)] = most
    if shapes == neusight.PRODUCT:
        moved = frame.B * (frame.M * frame.N + frame.N * frame.K + frame.M * frame.K)
    else:
        moved = frame.B * frame.H * np.where(frame.OPName.isin(["add", "div", "mul", "pow"]), 3, 2)
    return frame.assign(Latency=0.01 + 4e-6 * moved / CONFIG["Mem_Bw"])


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    """A folder like theirs with two GPUs, of which one was measured in the training."""
    folder = tmp_path / "neusight"
    (folder / "kernels").mkdir(parents=True)
    (folder / "device_configs").mkdir()
    for name in (SEEN, UNSEEN):
        describe(folder, name, name)
    for file, operators, shapes in neusight.OPERATORS.values():
        for operator in operators:
            kernels((operator,), shapes, SEEN, 64).to_csv(
                folder / "kernels" / f"nv_train_{operator}.csv.gz", index=False
            )
        test = [
            kernels(operators, shapes, gpu, most) for gpu in (SEEN, UNSEEN) for most in (64, 128)
        ]
        pd.concat(test).to_csv(folder / "kernels" / f"nv_test_{file}.csv.gz", index=False)
    return folder


def describe(folder: Path, file: str, name: str, **numbers: object) -> None:
    """Write the configuration of a GPU."""
    path = folder / "device_configs" / f"{file.replace(' ', '_')}.json"
    path.write_text(json.dumps({"Device": name, **CONFIG, **numbers}), encoding="utf-8")


def test_a_time_that_is_a_sum_is_found_on_every_gpu(made_up: Path) -> None:
    """Launch and memory are learned from one GPU, and hold for another and for larger shapes."""
    rows = evaluate("neusight", Request(made_up, seeds=1))
    for group in neusight.GROUPS:
        for operator, found in error(rows, PLAIN, group).items():
            assert found == pytest.approx(0, abs=1e-4), (group, operator)
        assert (error(rows, "roofline", group)["bmm"] or 0) > 1
        scored = {row.score for row in rows if row.method == f"latbench {PLAIN}: {group}"}
        assert scored == set(metrics.summary([1.0], [1.0]))
    assert set(error(rows, PLAIN, "linear")) == {SEEN, UNSEEN}


def test_groups_add_up(made_up: Path) -> None:
    """Every kernel is of a GPU seen or not, and inside the training's shapes or outside."""
    gpus = neusight.load_gpus(made_up)
    train, test = neusight.load(made_up, "bmm", gpus)
    groups = {name: test.group(name) for name in neusight.GROUPS}
    most = train[0].kernels.shapes.max(axis=0)
    for gpu, name in ((SEEN, "seen GPUs"), (UNSEEN, "unseen GPUs")):
        inside, outside = groups[f"{name}, inside"], groups[f"{name}, outside"]
        assert (groups[name] == (test.gpus == gpu)).all()
        assert (groups[name] == (inside | outside)).all()
        assert not (inside & outside).any()
        assert inside.any()
        assert outside.any()
        assert (test.parts[0].kernels.shapes[outside] > most).any(axis=1).all()


def test_seeds_repeat(made_up: Path) -> None:
    """Equal seeds give equal rows, other seeds others."""
    request = Request(made_up, labels=(10,), seeds=1)
    assert evaluate("neusight", request) == evaluate("neusight", request)
    assert evaluate("neusight", request) != evaluate("neusight", Request(made_up, (10,), 1, seed=5))


def test_another_card_under_the_same_name_is_left_out(made_up: Path) -> None:
    """A configuration counts if its file is named after its GPU; AMD's are of no use here."""
    describe(made_up, f"{UNSEEN} TP", UNSEEN, Mem_Bw=600)
    describe(made_up, "AMD", "AMD", SingleFLOPsMM=1, SingleFLOPsVEC=1)
    found = neusight.load_gpus(made_up)
    assert set(found) == {SEEN, UNSEEN}
    assert found[UNSEEN].bandwidth == 300e6


def spoilt(file: str, spoil: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    """Return what spoils a table of kernels."""

    def change(folder: Path) -> None:
        path = folder / "kernels" / file
        spoil(pd.read_csv(path)).to_csv(path, index=False)

    return change


def cut(folder: Path) -> None:
    """Cut a packed table off."""
    path = folder / "kernels" / "nv_train_ln.csv.gz"
    path.write_bytes(gzip.compress(os.urandom(1000))[:300])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoilt("nv_train_bmm.csv.gz", lambda f: f.drop(columns="K")), "no column 'K'"),
        (spoilt("nv_test_ln.csv.gz", lambda f: f.drop(columns="Latency")), "no column 'Latency'"),
        (spoilt("nv_test_ln.csv.gz", lambda f: f.assign(Latency=0)), "not above zero"),
        (spoilt("nv_test_ln.csv.gz", lambda f: f.assign(Device="X")), "describes no such GPU"),
        (spoilt("nv_test_elem.csv.gz", lambda f: f[f.OPName != "gelu"]), "no kernels of 'gelu'"),
        (cut, "cannot be read as a table"),
        (lambda folder: describe(folder, SEEN, SEEN, Num_Sm="many"), "describes no GPU"),
        (lambda folder: (folder / "device_configs" / "NVIDIA_L4.json").write_text("{"), "no GPU"),
        (lambda folder: (folder / "kernels" / "nv_test_bmm.csv.gz").unlink(), "no file kernels/nv"),
    ],
)
def test_spoilt_data_is_named(spoil: Callable[[Path], None], says: str, made_up: Path) -> None:
    """What is wrong is told with the file, in one line."""
    spoil(made_up)
    with pytest.raises(UsageError, match=says) as caught:
        evaluate("neusight", Request(made_up, seeds=1))
    assert str(made_up) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_file_is_not_enough(made_up: Path) -> None:
    """The folder is asked for."""
    with pytest.raises(UsageError, match="give --data the folder neusight"):
        evaluate("neusight", Request(made_up / "kernels" / "nv_test_bmm.csv.gz"))


@needs_data
def test_unseen_gpus_have_half_the_error_of_the_roofline() -> None:
    """For matrix products on GPUs whose datasheets alone are known; the roofline is as told."""
    rows = evaluate("neusight", Request(Path(DATA or ""), seeds=1))
    told = {
        "seen GPUs": (40.2, 31.8, 20.0, 40.1, 43.3),
        "unseen GPUs": (40.3, 40.7, 19.2, 28.3, 32.1),
    }
    for group, errors in told.items():
        assert list(error(rows, "roofline", group).values()) == pytest.approx(errors, abs=0.051)
    for method in (PLAIN, TREES):
        found = error(rows, method, "unseen GPUs")
        for operator in ("bmm", "linear"):
            most = (error(rows, "roofline", "unseen GPUs")[operator] or 0) / 2
            assert (found[operator] or most) < most
