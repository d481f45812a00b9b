"""``latbench export``: stored measurements as a file that may be handed on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from latbench.cli.options import SpaceRequest, space_options
from latbench.cli.output import emit
from latbench.cli.session import current

ALL = "all"


@click.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--kind", type=click.Choice(["network", "block"]), help="Only these.")
@click.option(
    "--campaign",
    default="main",
    show_default=True,
    help=f"Only this campaign; {ALL} for repeats and sentinels too.",
)
@space_options
def export(
    file: Path, kind: Literal["network", "block"] | None, campaign: str, space: SpaceRequest
) -> None:
    """Write measurements to a Parquet or CSV file.

    The suffix of FILE decides which. Neither host names nor paths are in it. With --space, what
    belongs to other spaces is left out.
    """
    from latbench.workflows.export import export as workflow

    spec = space.build().spec if space.given else None
    with current().open_to_read() as store:
        rows = workflow(store, file, kind, spec, None if campaign == ALL else campaign)
    emit(
        {"file": file.name, "rows": rows},
        lambda console: console.print(f"{rows} measurements in {file}", markup=False),
    )
