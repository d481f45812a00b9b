"""Look at a device once, whole: ``python -m benchmarks.gpu_check --device h200 --out h200.json``.

Whether every runtime keeps its contract there, how fast a network is under each, whether events
tell the time that others tell, and how well latencies are predicted. What is missing is told with
its reason, and the rest goes on. Each part runs in a process of its own and is stopped after
``--limit``; parts that ended stand in ``--folder`` and are not run again as long as the packages,
the driver and the card are the same, and what they measured is in the store there, so a check that
was cut off goes on where it was::

    python -m benchmarks.gpu_check --device h200 --parts conformance,events
    python -m benchmarks.gpu_check --device h200 --limit 9min --out h200.json
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from benchmarks.gpu_part import Check, run_part
from latbench import devices
from latbench.cli.options import Budget, ParamType, SpaceRequest, space_options
from latbench.errors import LatbenchError
from latbench.replacing import replace_whole
from latbench.version import current_version

PARTS: Mapping[str, str] = {
    "conformance": "benchmarks.gpu_conformance",
    "events": "benchmarks.gpu_events",
    "trtexec": "benchmarks.gpu_trtexec",
    "runtimes": "benchmarks.gpu_runtimes",
    "prediction": "benchmarks.gpu_prediction",
}
"""The module of each part, the shortest first."""
SCHEMA = 1
_PACKAGES = (
    "lightgbm",
    "numpy",
    "nvidia-ml-py",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "pycuda",
    "pytest",
    "scikit-learn",
    "tensorrt",
    "torch",
    "triton",
)
_FREE = ("folder", "seconds")
"""What may change from one call to the next without making another check of it."""


_CUT_OFF: Mapping[str, Any] = {
    "seconds": 0.0,
    "rows": [],
    "refused": [],
    "problem": "the check was cut off while it ran; the same command goes on",
    "ended": False,
}
"""What is known of a part as long as it runs."""


class PartNames(ParamType):
    """Names of parts with commas between them; the value is a tuple."""

    name = "parts"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the names."""
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(value.split(",")))
        for name in names:
            if name not in PARTS:
                self.fail(f"{name!r} is no part; there are {', '.join(PARTS)}", param, ctx)
        return names


@click.command()
@click.option("--device", required=True, metavar="NAME", help="Device profile, such as h200.")
@click.option(
    "--parts",
    type=PartNames(),
    default=tuple(PARTS),
    metavar="NAME,…",
    help=f"Which to run.  [default: {','.join(PARTS)}]",
)
@click.option(
    "--limit",
    type=Budget(),
    default="9min",
    show_default=True,
    metavar="TIME",
    help="Stop a part after TIME.",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("latbench-gpu-check"),
    show_default=True,
    help="Keeps the store, and what parts found.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="The document.  [default: printed]",
)
@space_options
@click.option(
    "--networks",
    type=click.IntRange(min=0),
    default=200,
    show_default=True,
    help="Networks to measure for predictors.",
)
@click.option(
    "--batch",
    "batches",
    type=click.IntRange(min=1),
    multiple=True,
    default=(1, 32),
    show_default=True,
    help="Images a run where runtimes are compared; may be repeated.",
)
@click.option("--quick", is_flag=True, help="Measure by the quick protocol, to try it out.")
@click.option("--checks", default="", metavar="EXPR", help="Rules of the contract, as pytest -k.")
@click.option("--again", is_flag=True, help="Run parts again that have ended.")
def main(
    device: str,
    parts: tuple[str, ...],
    limit: float,
    folder: Path,
    out: Path | None,
    space: SpaceRequest,
    networks: int,
    batches: tuple[int, ...],
    quick: bool,
    checks: str,
    again: bool,
) -> None:
    """Check a device that is here, and write one JSON document of all that was found."""
    check = Check(
        device, folder.resolve(), limit, space.name, space.options, networks, batches, quick, checks
    )
    try:
        hardware = devices.require(device)
        check.build_space()
        folder.mkdir(parents=True, exist_ok=True)
        for name in parts:
            _run(name, check, hardware, again)
        text = json.dumps(_document(hardware, check), indent=2)
        if out is None:
            click.echo(text)
        else:
            replace_whole(out, text.encode() + b"\n")
    except LatbenchError as failure:
        raise click.ClickException(str(failure)) from failure
    except OSError as failure:
        raise click.ClickException(f"{failure.filename}: {failure.strerror}") from failure


def _run(name: str, check: Check, hardware: devices.Fingerprint, again: bool) -> None:
    """Run a part, unless it has ended before with the same demands; keep what it found."""
    demands = _demands(check, hardware)
    kept = _kept(name, check.folder)
    same = kept is not None and kept["demands"] == demands and not again
    if kept is not None and same and kept["ended"]:
        click.echo(f"{name}: kept from before", err=True)
        return
    click.echo(f"{name} …", err=True)
    if not same:
        # So that the call after one that is cut off here knows what it goes on with.
        _keep(name, check.folder, {"demands": demands, **_CUT_OFF})
    found = run_part(name, PARTS[name], check, goes_on=same)
    _keep(name, check.folder, {"demands": demands, **found})
    problem = f"; {found['problem']}" if found["problem"] else ""
    click.echo(
        f"{name}: {len(found['rows'])} rows, {len(found['refused'])} refusals in "
        f"{found['seconds']:g} s{problem}",
        err=True,
    )


def _demands(check: Check, hardware: devices.Fingerprint) -> dict[str, Any]:
    """Return what makes two calls the same check: what is asked for, and of which card and code."""
    asked = {key: value for key, value in check.to_dict().items() if key not in _FREE}
    return {
        **asked,
        "instance": hardware.instance,
        "driver": None if hardware.card is None else hardware.card.driver,
        **_software(),
    }


def _software() -> dict[str, Any]:
    return {
        "latbench": current_version(),
        "python": platform.python_version(),
        "packages": {name: there for name in _PACKAGES if (there := _version(name)) is not None},
    }


def _keep(name: str, folder: Path, found: Mapping[str, Any]) -> None:
    replace_whole(_file(name, folder), json.dumps(found, indent=2).encode())


def _file(name: str, folder: Path) -> Path:
    return folder / f"{name}.json"


def _kept(name: str, folder: Path) -> dict[str, Any] | None:
    path = _file(name, folder)
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _document(hardware: devices.Fingerprint, check: Check) -> dict[str, Any]:
    found = {name: _kept(name, check.folder) for name in PARTS}
    return {
        "schema": SCHEMA,
        "date": date.today().isoformat(),
        "device": check.device,
        "hardware": hardware.to_dict(),
        **_software(),
        "cuda_of_torch": _cuda_of_torch(),
        "parts": {name: one for name, one in found.items() if one is not None},
        "not_run": [name for name, one in found.items() if one is None],
    }


def _cuda_of_torch() -> str | None:
    from torch.version import cuda

    return cuda


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
