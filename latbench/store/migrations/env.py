"""What Alembic runs: the revisions, on the connection and in the transaction of its caller."""

from alembic import context

from latbench.store.schema import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
