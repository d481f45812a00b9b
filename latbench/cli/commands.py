"""The commands by name, each loaded only when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from latbench.cli.session import STORE_VARIABLE, shared_options
from latbench.registry import nearest
from latbench.version import current_version

COMMANDS = {
    "devices": "List devices, which of them is here, and which runtimes work.",
    "doctor": "Tell how noisy this machine is and what to change.",
    "profile": "Measure blocks, networks or ONNX files into the store.",
    "validate": "Tell whether stored measurements still hold.",
    "compare": "Compare true latencies with sums of block latencies.",
    "fit-predictor": "Fit a latency predictor to what was measured.",
    "predict": "Predict latencies, with intervals.",
    "search": "Search for a network within a latency target, and measure it.",
    "train": "Train a network from scratch and export it.",
    "evaluate": "Run a paper's protocol; our row stands under the published ones.",
    "export": "Write measurements to a Parquet or CSV file.",
    "plugins": "List what is registered, and what fails to load.",
    "demo": "Go the whole way on a small example, in a few minutes.",
}
"""The help of each command by its name, as ``latbench --help`` shows it.

``fit-predictor`` is ``latbench.cli.fit_predictor:fit_predictor``, and so on.
"""


class Commands(click.Group):
    """The group ``latbench``; it knows its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, with the options that every command takes."""
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"latbench.cli.{name}"), name)
        has = {parameter.name for parameter in command.params}
        command.params += [option for option in shared_options() if option.name not in has]
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that ``args`` begin with; refuse an unknown one."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"no command {args[0]!r}{nearest(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=Commands,
    name="latbench",
    invoke_without_command=True,
    params=shared_options(STORE_VARIABLE),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(current_version(), prog_name="latbench", message="%(prog)s %(version)s")
@click.pass_context
def latbench(context: click.Context) -> Any:
    """How fast a neural network will run on a device: measured, predicted and searched for."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)
