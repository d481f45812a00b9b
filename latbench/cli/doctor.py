"""``latbench doctor``: how noisy this machine is."""

from __future__ import annotations

import click

from latbench.cli.checks import show
from latbench.cli.options import one_target_options
from latbench.cli.output import emit, progress
from latbench.workflows.setting import Setting


@click.command()
@one_target_options
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=20.0,
    show_default=True,
    help="How long to measure repeatability and drift.",
)
@click.option("--tune", is_flag=True, help="First set governor and turbo; needs root.")
def doctor(setting: Setting, seconds: float, tune: bool) -> None:
    """Tell how noisy this machine is and what to change.

    It looks for four seconds, measures one workload in process after process, and changes nothing
    unless it is told to with --tune.
    """
    from latbench.workflows import doctor as workflow
    from latbench.workflows import tuning

    target, instance = setting.here()
    tuned = tuning.tune() if tune else []
    checks = tuned + workflow.doctor(target, instance, seconds, progress)
    document = {"target": target.to_dict(), "checks": [vars(check) for check in checks]}
    emit(document, lambda console: show(console, f"{target.label}", checks))
