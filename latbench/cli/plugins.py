"""``latbench plugins``: what is registered, bundled and installed."""

from __future__ import annotations

import dataclasses

import click

from latbench import registry
from latbench.cli.output import emit, table


@click.command()
def plugins() -> None:
    """List what is registered, and what fails to load."""
    rows = registry.listing()
    columns = ["group", "name", "from", "fails with"]
    cells = [
        [row.group.removeprefix("latbench."), row.name, row.distribution, row.error or ""]
        for row in rows
    ]
    emit(
        {"plugins": [dataclasses.asdict(row) for row in rows]},
        lambda console: console.print(table("Plug-ins", columns, cells)),
    )
