"""What every command takes: ``--store``, ``--json`` and ``--debug``, before or after its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from latbench.store import ReadableStore, Store

STORE_VARIABLE = "LATBENCH_STORE"


@dataclass
class Session:
    """What the shared options say.

    Attributes:
        store_url: the store; None for the default.
        json: whether stdout takes one JSON document.
        debug: whether an error shows its traceback.
    """

    store_url: str | None = None
    json: bool = False
    debug: bool = False

    def open_store(self, create: bool = True) -> Store:
        """Open the store to measure into; as a context manager it closes itself.

        Raises:
            UsageError: it is a table, which is only read.
            StoreError: it cannot be opened, or does not exist and is not to be created.
        """
        from latbench.store import DEFAULT_URL, Store

        return Store.open(self.store_url or DEFAULT_URL, create)

    def check_store(self) -> None:
        """Refuse a store that nothing can be measured into, before time goes into anything else.

        Raises:
            UsageError: its URL is malformed, or it is a table, which is only read.
        """
        from latbench.store import DEFAULT_URL
        from latbench.store.location import Location

        Location.parse(self.store_url or DEFAULT_URL)

    def open_to_read(self, create: bool = False) -> ReadableStore:
        """Open the store, or the table in its place, to read; it closes itself likewise.

        Raises:
            StoreError: it cannot be opened, or does not exist and is not to be created.
            ArtefactError: a file that is no table of measurements.
        """
        from latbench.store import DEFAULT_URL, open_to_read

        return open_to_read(self.store_url or DEFAULT_URL, create)


def current() -> Session:
    """Return the session of the command that runs."""
    session = click.get_current_context().find_object(Session)
    return session if session is not None else Session()


def shared_options(variable: str | None = None) -> list[click.Option]:
    """Return the options that every command takes, fresh ones for each command.

    Args:
        variable: the environment variable that stands in for ``--store``; only the group reads
            it, or it would win over what was given before the command's name.
    """

    def keep(field: str) -> Any:
        def callback(context: click.Context, _: click.Parameter, value: object) -> None:
            if value:
                setattr(context.ensure_object(Session), field, value)

        return callback

    return [
        click.Option(
            ["--store", "store_url"],
            metavar="URL",
            envvar=variable,
            callback=keep("store_url"),
            expose_value=False,
            help=f"Where measurements are kept (or {STORE_VARIABLE}); to read only, also a table "
            "F.parquet that export wrote, or dataset:NAME.  [default: sqlite:///latbench.db]",
        ),
        click.Option(
            ["--json", "json"],
            is_flag=True,
            callback=keep("json"),
            expose_value=False,
            help="Print one JSON document; messages go to stderr.",
        ),
        click.Option(
            ["--debug"],
            is_flag=True,
            callback=keep("debug"),
            expose_value=False,
            help="Show the traceback of an error.",
        ),
    ]
