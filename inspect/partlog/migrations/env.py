"""Runs the revisions on the connection that ``database.migrate`` holds, inside its transaction."""

from __future__ import annotations

from alembic import context

from linegate.inspect.partlog.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=False,
    transactional_ddl=True,
)
context.run_migrations()
