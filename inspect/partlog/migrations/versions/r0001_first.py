"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From nothing."""
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("at_utc_ns", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("action", sa.String(length=48), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_at_utc_ns"), "audit", ["at_utc_ns"], unique=False)
    op.create_table(
        "bundle",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.Column("first_used_utc_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_bundle")),
    )
    op.create_table(
        "command",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at_utc_ns", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=48), nullable=False),
        sa.Column("args", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("taken_utc_ns", sa.BigInteger(), nullable=True),
        sa.Column("done_utc_ns", sa.BigInteger(), nullable=True),
        sa.Column("ok", sa.Boolean(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_command")),
    )
    op.create_index(op.f("ix_command_state_id"), "command", ["state", "id"], unique=False)
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at_utc_ns", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=48), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=True),
        sa.Column("sequence", sa.BigInteger(), nullable=True),
        sa.Column("data", sa.Text(), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column("acknowledged_utc_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    op.create_index(op.f("ix_event_at_utc_ns"), "event", ["at_utc_ns"], unique=False)
    op.create_index(op.f("ix_event_epoch_sequence"), "event", ["epoch", "sequence"], unique=False)
    op.create_index(op.f("ix_event_kind_at_utc_ns"), "event", ["kind", "at_utc_ns"], unique=False)
    op.create_table(
        "image",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("camera", sa.String(length=32), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("width_px", sa.Integer(), nullable=False),
        sa.Column("height_px", sa.Integer(), nullable=False),
        sa.Column("channels", sa.SmallInteger(), nullable=False),
        sa.Column("bits", sa.SmallInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("probability", sa.Float(), nullable=False),
        sa.Column("stored_utc_ns", sa.BigInteger(), nullable=False),
        sa.Column("deleted_utc_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_image")),
        sa.UniqueConstraint("epoch", "sequence", "camera", name=op.f("uq_image_epoch_sequence_camera")),
    )
    op.create_index(
        op.f("ix_image_deleted_utc_ns_stored_utc_ns"), "image", ["deleted_utc_ns", "stored_utc_ns"], unique=False
    )
    op.create_index(op.f("ix_image_sha256"), "image", ["sha256"], unique=False)
    op.create_table(
        "job",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("created_utc_ns", sa.BigInteger(), nullable=False),
        sa.Column("started_utc_ns", sa.BigInteger(), nullable=True),
        sa.Column("ended_utc_ns", sa.BigInteger(), nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until_utc_ns", sa.BigInteger(), nullable=True),
        sa.Column("heartbeat_utc_ns", sa.BigInteger(), nullable=True),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("progress_text", sa.Text(), nullable=False),
        sa.Column("cancel", sa.Boolean(), nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
    )
    op.create_index(op.f("ix_job_state_id"), "job", ["state", "id"], unique=False)
    op.create_table(
        "label",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("camera", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("image_sha256", sa.String(length=64), nullable=True),
        sa.Column("mask_sha256", sa.String(length=64), nullable=True),
        sa.Column("classes", sa.Text(), nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("must_catch", sa.Boolean(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at_utc_ns", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label")),
        sa.UniqueConstraint(
            "epoch", "sequence", "camera", "version", name=op.f("uq_label_epoch_sequence_camera_version")
        ),
    )
    op.create_index(op.f("ix_label_image_sha256"), "label", ["image_sha256"], unique=False)
    op.create_index(op.f("ix_label_kind_at_utc_ns"), "label", ["kind", "at_utc_ns"], unique=False)
    op.create_table(
        "lot",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("started_utc_ns", sa.BigInteger(), nullable=False),
        sa.Column("started_by", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lot")),
    )
    op.create_index(op.f("ix_lot_started_utc_ns"), "lot", ["started_utc_ns"], unique=False)
    op.create_table(
        "part",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("triggered_utc_ns", sa.BigInteger(), nullable=False),
        sa.Column("logged_utc_ns", sa.BigInteger(), nullable=False),
        sa.Column("recipe_id", sa.Integer(), nullable=False),
        sa.Column("recipe_name", sa.String(length=64), nullable=False),
        sa.Column("bundle_sha256", sa.String(length=64), nullable=False),
        sa.Column("thresholds_sha256", sa.String(length=64), nullable=False),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("serial", sa.Text(), nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("judged", sa.String(length=16), nullable=False),
        sa.Column("cause", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("defect_class", sa.Text(), nullable=False),
        sa.Column("keep_probability", sa.Float(), nullable=True),
        sa.Column("challenge", sa.Boolean(), nullable=False),
        sa.Column("encoder", sa.BigInteger(), nullable=False),
        sa.Column("wire_verdict", sa.SmallInteger(), nullable=True),
        sa.Column("wire_written", sa.Boolean(), nullable=True),
        sa.Column("latency_ms", sa.Float(), nullable=True),
        sa.Column("slack_ms", sa.Float(), nullable=True),
        sa.Column("outcome_note", sa.Text(), nullable=True),
        sa.Column("gate", sa.String(length=16), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_part")),
        sa.UniqueConstraint("epoch", "sequence", name=op.f("uq_part_epoch_sequence")),
    )
    op.create_index(op.f("ix_part_decision_triggered_utc_ns"), "part", ["decision", "triggered_utc_ns"], unique=False)
    op.create_index(
        op.f("ix_part_defect_class_triggered_utc_ns"), "part", ["defect_class", "triggered_utc_ns"], unique=False
    )
    op.create_index(op.f("ix_part_lot_decision"), "part", ["lot", "decision"], unique=False)
    op.create_index(op.f("ix_part_serial"), "part", ["serial"], unique=False)
    op.create_index(op.f("ix_part_triggered_utc_ns"), "part", ["triggered_utc_ns"], unique=False)
    op.create_table(
        "recipe",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("recipe_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("first_used_utc_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_recipe")),
    )
    op.create_index(
        op.f("ix_recipe_recipe_id_first_used_utc_ns"), "recipe", ["recipe_id", "first_used_utc_ns"], unique=False
    )
    op.create_table(
        "station_state",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("at_utc_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_station_state")),
    )
    op.create_table(
        "thresholds",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_thresholds")),
    )
    op.create_table(
        "user",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("pin_hash", sa.Text(), nullable=False),
        sa.Column("badge_hash", sa.Text(), nullable=True),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("failed_attempts", sa.Integer(), nullable=False),
        sa.Column("locked_until_utc_ns", sa.BigInteger(), nullable=True),
        sa.Column("created_utc_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_user")),
    )
    op.create_table(
        "session",
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("user_name", sa.String(length=64), nullable=False),
        sa.Column("started_utc_ns", sa.BigInteger(), nullable=False),
        sa.Column("seen_utc_ns", sa.BigInteger(), nullable=False),
        sa.Column("expires_utc_ns", sa.BigInteger(), nullable=False),
        sa.Column("ended_utc_ns", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user_name"], ["user.name"], name=op.f("fk_session_user")),
        sa.PrimaryKeyConstraint("token_sha256", name=op.f("pk_session")),
    )
    op.create_index(op.f("ix_session_user_name"), "session", ["user_name"], unique=False)
    op.create_table(
        "view",
        sa.Column("part_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("number", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("camera", sa.String(length=32), nullable=False),
        sa.Column("frame_counter", sa.BigInteger(), nullable=True),
        sa.Column("frame_timestamp_ns", sa.BigInteger(), nullable=True),
        sa.Column("width_px", sa.Integer(), nullable=False),
        sa.Column("height_px", sa.Integer(), nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["part_id"], ["part.id"], name=op.f("fk_view_part")),
        sa.PrimaryKeyConstraint("part_id", "number", name=op.f("pk_view")),
    )
    op.create_table(
        "region",
        sa.Column("part_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("view_number", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("defect_class", sa.Text(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("area_mm2", sa.Float(), nullable=False),
        sa.Column("length_mm", sa.Float(), nullable=False),
        sa.Column("x_mm", sa.Float(), nullable=False),
        sa.Column("y_mm", sa.Float(), nullable=False),
        sa.Column("box_x_px", sa.Integer(), nullable=False),
        sa.Column("box_y_px", sa.Integer(), nullable=False),
        sa.Column("box_width_px", sa.Integer(), nullable=False),
        sa.Column("box_height_px", sa.Integer(), nullable=False),
        sa.Column("outline", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["part_id", "view_number"], ["view.part_id", "view.number"], name=op.f("fk_region_view")
        ),
        sa.PrimaryKeyConstraint("part_id", "view_number", "number", name=op.f("pk_region")),
    )
    op.create_index(op.f("ix_region_defect_class_part_id"), "region", ["defect_class", "part_id"], unique=False)


def downgrade() -> None:
    """To nothing."""
    op.drop_index(op.f("ix_region_defect_class_part_id"), table_name="region")
    op.drop_table("region")
    op.drop_table("view")
    op.drop_index(op.f("ix_session_user_name"), table_name="session")
    op.drop_table("session")
    op.drop_table("user")
    op.drop_table("thresholds")
    op.drop_table("station_state")
    op.drop_index(op.f("ix_recipe_recipe_id_first_used_utc_ns"), table_name="recipe")
    op.drop_table("recipe")
    op.drop_index(op.f("ix_part_triggered_utc_ns"), table_name="part")
    op.drop_index(op.f("ix_part_serial"), table_name="part")
    op.drop_index(op.f("ix_part_lot_decision"), table_name="part")
    op.drop_index(op.f("ix_part_defect_class_triggered_utc_ns"), table_name="part")
    op.drop_index(op.f("ix_part_decision_triggered_utc_ns"), table_name="part")
    op.drop_table("part")
    op.drop_index(op.f("ix_lot_started_utc_ns"), table_name="lot")
    op.drop_table("lot")
    op.drop_index(op.f("ix_label_kind_at_utc_ns"), table_name="label")
    op.drop_index(op.f("ix_label_image_sha256"), table_name="label")
    op.drop_table("label")
    op.drop_index(op.f("ix_job_state_id"), table_name="job")
    op.drop_table("job")
    op.drop_index(op.f("ix_image_sha256"), table_name="image")
    op.drop_index(op.f("ix_image_deleted_utc_ns_stored_utc_ns"), table_name="image")
    op.drop_table("image")
    op.drop_index(op.f("ix_event_kind_at_utc_ns"), table_name="event")
    op.drop_index(op.f("ix_event_epoch_sequence"), table_name="event")
    op.drop_index(op.f("ix_event_at_utc_ns"), table_name="event")
    op.drop_table("event")
    op.drop_index(op.f("ix_command_state_id"), table_name="command")
    op.drop_table("command")
    op.drop_table("bundle")
    op.drop_index(op.f("ix_audit_at_utc_ns"), table_name="audit")
    op.drop_table("audit")
