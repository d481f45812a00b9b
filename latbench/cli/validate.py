"""``latbench validate``: whether a stored table still holds."""

from __future__ import annotations

import click

from latbench.cli.checks import show
from latbench.cli.options import SpaceRequest, one_target_options, space_options
from latbench.cli.output import emit, progress
from latbench.cli.session import current
from latbench.workflows.setting import Kind, Setting


@click.command()
@space_options
@click.option("--kind", type=click.Choice(["network", "block"]), help="Only these.")
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="How many to time again, spread over the latencies.",
)
@one_target_options
def validate(space: SpaceRequest, kind: Kind | None, count: int, setting: Setting) -> None:
    """Tell whether stored measurements still hold.

    Some of them are timed again, as a campaign of their own. Without --space those of every space
    count.
    """
    from latbench.workflows import validate as workflow

    spec = space.build().spec if space.given else None
    with current().open_store(create=False) as store:
        found = workflow.validate(
            store, setting, count=count, space=spec, kind=kind, progress=progress
        )
    document = {
        "verdict": found.verdict,
        "stored": found.stored.to_dict(),
        "measured": found.measured.to_dict(),
        "checks": [vars(check) for check in found.checks],
        "rows": [vars(one) for one in found.comparisons],
    }
    emit(document, lambda console: show(console, found.measured.label, found.checks))
