"""``latbench train``: one architecture trained, exported, checked and timed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from latbench.runtimes.openvino import OpenVino
from latbench.workflows.accuracy import lower_precisions

Run = Callable[..., Any]


def test_document(run: Run, searched: Any) -> None:
    """The exported network is as accurate as the trained one, and as fast as measured before."""
    done = run(
        *("train", "--arch", searched.folder / "arch.json", "--epochs", 1, "--data-size", 8),
        *("--store", searched.url, "--out", "trained", "--json"),
    )
    assert done.code == 0, done.err
    found = json.loads(done.out)
    # The file is of another size than the network that is timed, and that is said.
    assert found["exported"] == "8×8 and 10 classes"
    assert found["timed"] == "32×32 and 10 classes"
    (told_of_sizes,) = [one for one in found["notes"] if "the latency is for 32×32" in one]
    assert "network.onnx is for 8×8 and 10 classes" in told_of_sizes
    assert told_of_sizes in done.err
    assert set(found) >= {"accuracy", "accuracy_exported", "true_ms"}
    # One image of the 360 may fall on the other side of a tie.
    assert found["accuracy_exported"] == pytest.approx(found["accuracy"], abs=1 / 300)
    assert found["true_ms"] == searched.found["true_ms"]
    told, *lower = found["accuracy_by_target"]
    assert (told["runtime"], told["precision"], told["precision_run"]) == (
        "onnxruntime",
        "fp32",
        "fp32",
    )
    assert told["accuracy"] == found["accuracy_exported"]
    assert (told["changed"], told["not_finite"], told["images"]) == (0, 0, 360)
    # By default it is told in each lower precision that is here, too.
    here = [(one.runtime, one.precision) for one in lower_precisions("cpu")]
    assert ("torch", "amp") in here
    assert [(one["runtime"], one["precision"]) for one in lower] == here
    for one in lower:
        assert one["precision_run"] == one["precision"]
        assert one["accuracy"] == pytest.approx(found["accuracy"], abs=0.1)
    model = onnx.load("trained/network.onnx")
    onnx.checker.check_model(model)
    (images,) = model.graph.input
    assert [dim.dim_value for dim in images.type.tensor_type.shape.dim] == [1, 1, 8, 8]


@pytest.mark.parametrize(
    ("content", "arguments", "says"),
    [
        (None, "", "arch.json cannot be read"),
        ("no JSON", "", "arch.json holds no JSON"),
        ("[]", "", "this is another file"),
        ('{"space": {"name": 3}}', "", "names no space; give --space"),
        ("whole", "--space fbnet", "the architecture is one of"),
        ("whole", "--data cifar", "no data set 'cifar'; known: cifar10, digits, "),
        ("whole", "--data npz", "'npz' has no path; write npz:PATH"),
        ("whole", "--data imagefolder:nowhere", "nowhere cannot be read as a folder"),
        ("whole", "--accuracy-on openvino:fp8", "'openvino:fp8': no precision 'fp8'"),
        ("whole", "--train-batch 2000 --data-size 8", "larger than the 1078 training images"),
        ("whole", "--epochs 0", "'--epochs'"),
        ("whole", "--train-on gpu", "nothing is trained on 'gpu'; write cpu, cuda or cuda:N"),
        ("whole", "--param epochs=3", "no setting of the training 'epochs'; known: accumulate"),
        ("whole", "--param lr=0", "lr is 0; it must be at least"),
    ],
)
def test_what_cannot_be_is_one_line(
    run: Run, searched: Any, content: str | None, arguments: str, says: str
) -> None:
    """A file that is no architecture of the space, and unknown data, are told by name."""
    if content is not None:
        whole = (searched.folder / "arch.json").read_text(encoding="utf-8")
        Path("arch.json").write_text(whole if content == "whole" else content, encoding="utf-8")
    done = run("train", "--arch", "arch.json", *arguments.split())
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert says in line


def test_a_training_is_kept_and_followed(run: Run, searched: Any) -> None:
    """The same command goes on from its state, and another setting is told from it."""
    command = (
        *("train", "--arch", searched.folder / "arch.json", "--epochs", 1, "--data-size", 8),
        *("--accuracy-on", "torch", "--store", searched.url, "--out", "trained"),
        *("--checkpoints", "state", "--tensorboard", "board"),
    )
    done = run(*command, "--param", "lr=0.05")
    assert done.code == 0, done.err
    assert "for 32×32 and 10 classes on" in done.out
    assert [*Path("board").iterdir()]
    state = Path("state/network.safetensors")
    weights, kept = Path("trained/weights.safetensors").read_bytes(), state.read_bytes()
    done = run(*command, "--param", "lr=0.05")
    assert done.code == 0, done.err
    assert Path("trained/weights.safetensors").read_bytes() == weights
    assert state.read_bytes() == kept
    done = run(*command, "--param", "lr=0.06")
    assert done.code == 1
    assert "belongs to something else: config.lr is 0.05 there and 0.06 here" in done.err


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twenty dark and twenty bright images."""
    rng = np.random.default_rng(0)
    for number in range(40):
        kind, level = ("dark", 0) if number < 20 else ("light", 150)
        folder = tmp_path / "pictures" / kind
        folder.mkdir(parents=True, exist_ok=True)
        pixels = level + rng.integers(0, 100, (10, 12, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "pictures"


def test_own_pictures_in_the_precision_that_runs(
    run: Run, searched: Any, pictures: Path, copy_of: Any
) -> None:
    """A network learns a folder, and its accuracy is told where it will run."""
    able = OpenVino().available() is None
    lower = ("--accuracy-on", "torch:amp", *(("--accuracy-on", "openvino") if able else ()))
    done = run(
        *("train", "--arch", searched.folder / "arch.json", "--data", f"imagefolder:{pictures}"),
        *("--data-size", 8, "--epochs", 20, "--train-batch", 8, *lower),
        *("--store", copy_of(searched.url), "--out", "own", "--json"),
    )
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["classes"] == ["dark", "light"]
    assert 100 < found["mean"][0] < 150
    assert found["accuracy"] > 0.8
    told = found["accuracy_by_target"]
    names = [(one["runtime"], one["precision_run"]) for one in told]
    expected = [("onnxruntime", "fp32"), ("torch", "amp"), ("openvino", "fp32")]
    assert names == expected[: len(told)]
    assert {one["images"] for one in told} == {8}
    assert all(one["accuracy"] > 0.7 for one in told)
    # A network that is seen in colour keeps its two logits in the file.
    model = onnx.load("own/network.onnx")
    assert model.graph.output[0].type.tensor_type.shape.dim[1].dim_value == 2
    assert Path("own/weights.safetensors").is_file()


def test_a_damaged_picture_is_named(run: Run, searched: Any, pictures: Path) -> None:
    """Before anything is trained."""
    path = pictures / "light" / "30.png"
    path.write_bytes(path.read_bytes()[:200])
    done = run(
        *("train", "--arch", searched.folder / "arch.json", "--data", f"imagefolder:{pictures}"),
        *("--data-size", 8, "--store", searched.url, "--out", "own"),
    )
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert "30.png cannot be read as an image" in line
    assert not Path("own").exists()
