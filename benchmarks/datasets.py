"""Make a bundled data set of what a store holds: ``datasets/NAME`` with its table and its card.

``python -m benchmarks.datasets STORE NAME --space SPACE --runtime RUNTIME`` writes both;
``python -m benchmarks.datasets`` alone writes the card of every data set anew. Where a store holds
more targets than the data set is to, as that of ``benchmarks.gpu_check`` does, its options choose:
``--runtime torch:fp32 --runtime-option clock=gpu``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from benchmarks.card import COMMAND, PROTOCOLS, card
from latbench.cli.options import KeyValue, SpaceRequest, space_options, without_repeats
from latbench.errors import LatbenchError, MissingMeasurementsError, UsageError
from latbench.spaces import SearchSpace
from latbench.store import STATUSES, ExportedTable, ReadableStore, open_to_read
from latbench.store.export import export
from latbench.timing import Protocol
from latbench.workflows.architectures import draw
from latbench.workflows.measured import REPEAT
from latbench.workflows.setting import Setting, space_words

if TYPE_CHECKING:
    import pandas as pd

    from latbench.target import Target

FOLDER = Path(__file__).parents[1] / "datasets"
NOTES = "## Notes\n"
"""What stands below this heading of a card is written by hand and stays."""

_NO_OPTIONS: Mapping[str, str] = MappingProxyType({})
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")


def collect(
    store: ReadableStore,
    space: SearchSpace,
    runtime: str,
    *,
    options: Mapping[str, str] = _NO_OPTIONS,
    instance: str | None = None,
    command: str | None = None,
) -> pd.DataFrame:
    """Return what ``store`` holds of ``space`` on all targets of ``runtime``, with its origin.

    First and second measurements are in it, failures too.

    Args:
        store: holds the measurements.
        space: whose blocks and networks.
        runtime: name of the runtime, of one precision alone if it is written ``NAME:PRECISION``.
        options: runtime options that a target must have; it may have others.
        instance: the machine; None for the only one that measured.
        command: how it was measured, if not by ``latbench profile``.

    Raises:
        MissingMeasurementsError: there is nothing of it.
        UsageError: several machines measured, or a command is wanted.
    """
    import pandas as pd

    parts = [
        store.table(space=space.spec, campaign=campaign, statuses=STATUSES, origin=True)
        for campaign in ("main", REPEAT)
    ]
    frame = pd.concat([part for part in parts if len(part)] or parts[:1])
    known = {target.key: target for target in store.targets()}
    name, _, precision = runtime.partition(":")
    wanted = [
        key
        for key, target in known.items()
        if target.runtime == name
        and precision in ("", target.precision)
        and options.items() <= dict(target.options).items()
    ]
    held = sorted({known[key].label for key in frame["target_key"]})
    frame = frame[frame["target_key"].isin(wanted)]
    if frame.empty:
        asked = ", ".join([runtime, *(f"{key}={value}" for key, value in options.items())])
        raise MissingMeasurementsError(
            f"the store holds nothing of {space.id} on {asked}, but on: {'; '.join(held) or '-'}"
        )
    machines = sorted(frame["instance"].unique())
    if instance is None and len(machines) > 1:
        raise UsageError(f"{len(machines)} machines measured; choose one: {', '.join(machines)}")
    if instance is not None:
        frame = frame[frame["instance"] == instance]
    frame = frame.sort_values("created", kind="stable").reset_index(drop=True)
    frame.attrs = {
        PROTOCOLS: {name: _protocol(name) for name in sorted(frame["protocol"].unique())},
        COMMAND: command or "\n".join(_commands(store, space, frame)),
    }
    return frame


def _protocol(name: str) -> Mapping[str, Any] | None:
    """Return the values of a protocol, None if it is none of latbench's own."""
    found = Protocol.named(name)
    return None if found is None else found.to_dict()


def _commands(store: ReadableStore, space: SearchSpace, frame: pd.DataFrame) -> list[str]:
    """Return for each target the command that measures it, if that draws the same networks."""
    known = {target.key: target for target in store.targets()}
    networks = frame[frame["kind"] == "network"]
    commands = []
    for key, rows in networks.groupby("target_key", sort=False):
        main, again = (rows[rows["campaign"] == campaign] for campaign in ("main", REPEAT))
        workloads = dict(zip(main["key"], main["workload"], strict=True))
        drawn = [space.decode(x) for x in draw(space, len(workloads), seed=0)]
        repeats = (
            _first([workloads[one] for one in drawn], set(again["workload"]))
            if set(drawn) == set(workloads)
            else None
        )
        if repeats is None:
            raise UsageError(
                f"on {known[str(key)].label} other networks were measured than `latbench profile` "
                "draws; say with --command how they were, or choose other targets by "
                "--runtime-option"
            )
        commands.append(_command(space, known[str(key)], rows, len(drawn), repeats))
    return commands


def _first(workloads: Sequence[str], again: Set[str]) -> int | None:
    """Return how many of the first ``workloads`` are those measured ``again``, None if none are.

    Architectures may share a workload, and then those that nobody repeated have a repeat too.
    """
    for count in range(len(workloads) + 1):
        if set(workloads[:count]) == again:
            return count
    return None


def _command(
    space: SearchSpace, target: Target, rows: pd.DataFrame, networks: int, repeats: int
) -> str:
    setting = Setting(
        target.device,
        target.runtime,
        target.precision,
        target.options,
        target.batch,
        target.threads,
    )
    quick = ["--protocol quick"] if set(rows["protocol"]) == {Protocol.quick().name} else []
    return " ".join(
        [
            "latbench profile",
            *space_words(space.spec),
            f"--blocks --networks {networks} --repeats {repeats}",
            setting.arguments(),
            *quick,
        ]
    )


def write(frame: pd.DataFrame, store: ReadableStore, folder: Path) -> None:
    """Write the table ``frame`` and its card into ``folder``.

    Raises:
        UsageError: a name of a folder that could be imported.
        StoreError: a value tells a host name or an absolute path, or a file cannot be written.
    """
    if not _NAME.fullmatch(folder.name):
        raise UsageError(
            f"{folder.name!r} is no name for a data set; write it as in mobilenet-cpu-onnxruntime"
        )
    folder.mkdir(parents=True, exist_ok=True)
    export(frame, folder / "data.parquet", store.instances())
    write_card(folder)


def write_card(folder: Path) -> None:
    """Write the card of the data set in ``folder``; notes below :data:`NOTES` stay."""
    (folder / "README.md").write_text(carded(folder), encoding="utf-8")


def carded(folder: Path) -> str:
    """Return what the card of the data set in ``folder`` is to say, with the notes it has."""
    path = folder / "README.md"
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    _, mark, notes = before.partition(f"\n{NOTES}")
    text = card(folder.name, ExportedTable.open(folder / "data.parquet"))
    return f"{text}{mark}{notes}"


def folders() -> list[Path]:
    """Return the folders of all data sets, by name."""
    return sorted(path.parent for path in FOLDER.glob("*/data.parquet"))


@click.command()
@click.argument("store", required=False)
@click.argument("name", required=False)
@space_options
@click.option(
    "--runtime",
    default="onnxruntime",
    show_default=True,
    metavar="NAME[:PRECISION]",
    help="Whose targets.",
)
@click.option(
    "--runtime-option",
    multiple=True,
    type=KeyValue(),
    metavar="KEY=VALUE",
    help="Only targets that have this option of the runtime; may be repeated.",
)
@click.option("--instance", help="Which machine's measurements; the only one's if left out.")
@click.option("--command", help="How it was measured, if not by `latbench profile`.")
def main(
    store: str | None,
    name: str | None,
    space: SpaceRequest,
    runtime: str,
    runtime_option: tuple[tuple[str, str], ...],
    instance: str | None,
    command: str | None,
) -> None:
    """Write the folder datasets/NAME from STORE, or every card anew."""
    try:
        if store is None:
            for folder in folders():
                write_card(folder)
            return
        if name is None:
            raise UsageError("give the data set a NAME, such as mobilenet-cpu-onnxruntime")
        with open_to_read(store) as opened:
            options = without_repeats("--runtime-option", runtime_option)
            frame = collect(
                opened,
                space.build(),
                runtime,
                options=options,
                instance=instance,
                command=command,
            )
            write(frame, opened, FOLDER / name)
    except LatbenchError as failure:
        raise click.ClickException(str(failure)) from failure
    size = (FOLDER / name / "data.parquet").stat().st_size
    click.echo(f"datasets/{name}: {len(frame)} rows in {size:,} bytes")


if __name__ == "__main__":
    main()
