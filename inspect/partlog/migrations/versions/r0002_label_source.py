"""Labels know which queue they came from and with what chance their part was chosen for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two columns; labels from before came from no queue."""
    op.add_column("label", sa.Column("source", sa.String(length=16), nullable=False, server_default=""))
    op.add_column("label", sa.Column("probability", sa.Float(), nullable=True))
