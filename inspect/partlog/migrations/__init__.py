"""The schema's history, run by ``database.migrate``; nobody needs the alembic command for it."""
