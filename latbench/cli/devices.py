"""``latbench devices``: what could be measured, and what can be measured here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.console import Console

from latbench.cli.output import emit, table

if TYPE_CHECKING:
    from latbench.workflows.availability import DeviceState


@click.command()
def devices() -> None:
    """List devices, which of them is here, and which runtimes work."""
    from latbench.workflows.availability import device_states

    states = device_states()
    document = {
        "devices": [
            {
                "name": state.profile.name,
                "title": state.profile.title,
                "kind": state.profile.kind,
                "present": bool(state.instances),
                "instances": [instance.label for instance in state.instances],
                "runtimes": [vars(runtime) for runtime in state.runtimes],
            }
            for state in states
        ]
    }

    def render(console: Console) -> None:
        console.print(table("Devices", ["name", "device", "here"], map(_cells, states)))
        here = [state for state in states if state.instances]
        rows = [
            [state.profile.name, runtime.name, runtime.available, runtime.reason or ""]
            for state in here
            for runtime in state.runtimes
        ]
        columns = ["device", "runtime", "works", "reason"]
        console.print(table("Runtimes of what is here", columns, rows))

    emit(document, render)


def _cells(state: DeviceState) -> list[object]:
    here = ", ".join(instance.label for instance in state.instances)
    return [state.profile.name, state.profile.title, here or "no"]
