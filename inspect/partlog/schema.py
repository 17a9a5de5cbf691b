"""The log's tables. ``migrations/`` carries the same as a history; a test holds the two together.

Times are UTC ``time.time_ns`` in columns that end in ``_utc_ns``. JSON is text, so that both databases compare it the same.
Only the line's writer touches part, view, region, image, thresholds, bundle, recipe and lot rows; the screens write the rest.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
Id = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only in a column of type INTEGER."""

part = Table(
    "part",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("epoch", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("triggered_utc_ns", BigInteger, nullable=False),
    Column("logged_utc_ns", BigInteger, nullable=False),
    Column("recipe_id", Integer, nullable=False),
    Column("recipe_name", String(64), nullable=False),
    Column("bundle_sha256", String(64), nullable=False),
    Column("thresholds_sha256", String(64), nullable=False),
    Column("lot", Text, nullable=False),
    Column("serial", Text, nullable=False),
    Column("decision", String(16), nullable=False),
    Column("judged", String(16), nullable=False),
    Column("cause", String(32), nullable=False),
    Column("reason", Text, nullable=False),
    Column("score", Float),
    Column("defect_class", Text, nullable=False),
    Column("keep_probability", Float),
    Column("challenge", Boolean, nullable=False),
    Column("encoder", BigInteger, nullable=False),
    Column("wire_verdict", SmallInteger),
    Column("wire_written", Boolean),
    Column("latency_ms", Float),
    Column("slack_ms", Float),
    Column("outcome_note", Text),
    Column("gate", String(16)),
    UniqueConstraint("epoch", "sequence"),
    Index(None, "triggered_utc_ns"),
    Index(None, "lot", "decision"),
    Index(None, "decision", "triggered_utc_ns"),
    Index(None, "defect_class", "triggered_utc_ns"),
    Index(None, "serial"),
)
"""One row per trigger. ``id`` rises in the order of logging. ``judged`` is what the rules said; ``decision`` differs from it
only where the row came too late to pass the part. ``token`` tells a row this writer already stored from a true duplicate.
``wire_*``, ``latency_ms``, ``slack_ms`` and ``gate`` are filled in after the PLC exchange."""

view = Table(
    "view",
    metadata,
    Column("part_id", Id, primary_key=True),
    Column("number", SmallInteger, primary_key=True, autoincrement=False),
    Column("camera", String(32), nullable=False),
    Column("frame_counter", BigInteger),
    Column("frame_timestamp_ns", BigInteger),
    Column("width_px", Integer, nullable=False),
    Column("height_px", Integer, nullable=False),
    Column("decision", String(16), nullable=False),
    Column("score", Float),
    Column("reason", Text, nullable=False),
    Column("embedding", LargeBinary),
    ForeignKeyConstraint(["part_id"], ["part.id"]),
)
"""One row per camera and part. ``embedding``: little-endian float16."""

region = Table(
    "region",
    metadata,
    Column("part_id", Id, primary_key=True),
    Column("view_number", SmallInteger, primary_key=True, autoincrement=False),
    Column("number", SmallInteger, primary_key=True, autoincrement=False),
    Column("defect_class", Text, nullable=False),
    Column("score", Float, nullable=False),
    Column("area_mm2", Float, nullable=False),
    Column("length_mm", Float, nullable=False),
    Column("x_mm", Float, nullable=False),
    Column("y_mm", Float, nullable=False),
    Column("box_x_px", Integer, nullable=False),
    Column("box_y_px", Integer, nullable=False),
    Column("box_width_px", Integer, nullable=False),
    Column("box_height_px", Integer, nullable=False),
    Column("outline", LargeBinary, nullable=False),
    ForeignKeyConstraint(["part_id", "view_number"], ["view.part_id", "view.number"]),
    Index(None, "defect_class", "part_id"),
)
"""One row per defect. ``outline``: x, y pairs as little-endian uint16."""

thresholds = Table(
    "thresholds",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("text", Text, nullable=False),
)
"""Each set of thresholds and rules once; part rows name it by hash."""

bundle = Table(
    "bundle",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("version", String(64), nullable=False),
    Column("manifest", Text, nullable=False),
    Column("first_used_utc_ns", BigInteger, nullable=False),
)

recipe = Table(
    "recipe",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("recipe_id", Integer, nullable=False),
    Column("name", String(64), nullable=False),
    Column("settings", Text, nullable=False),
    Column("first_used_utc_ns", BigInteger, nullable=False),
    Index(None, "recipe_id", "first_used_utc_ns"),
)
"""Every wording a recipe ever had: ``sha256`` of ``settings``."""

lot = Table(
    "lot",
    metadata,
    Column("id", Text, primary_key=True),
    Column("started_utc_ns", BigInteger, nullable=False),
    Column("started_by", Text, nullable=False),
    Column("note", Text, nullable=False),
    Index(None, "started_utc_ns"),
)

event = Table(
    "event",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("at_utc_ns", BigInteger, nullable=False),
    Column("kind", String(48), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("epoch", Integer),
    Column("sequence", BigInteger),
    Column("data", Text),
    Column("acknowledged_by", Text),
    Column("acknowledged_utc_ns", BigInteger),
    Index(None, "at_utc_ns"),
    Index(None, "kind", "at_utc_ns"),
    Index(None, "epoch", "sequence"),
)

command = Table(
    "command",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("at_utc_ns", BigInteger, nullable=False),
    Column("kind", String(48), nullable=False),
    Column("args", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("taken_utc_ns", BigInteger),
    Column("done_utc_ns", BigInteger),
    Column("ok", Boolean),
    Column("answer", Text),
    Index(None, "state", "id"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("at_utc_ns", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("action", String(48), nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index(None, "at_utc_ns"),
)
"""Hash chain; ids are 1, 2, 3 … without a gap. See audit.py."""

image = Table(
    "image",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("epoch", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("camera", String(32), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("width_px", Integer, nullable=False),
    Column("height_px", Integer, nullable=False),
    Column("channels", SmallInteger, nullable=False),
    Column("bits", SmallInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("reason", String(32), nullable=False),
    Column("probability", Float, nullable=False),
    Column("stored_utc_ns", BigInteger, nullable=False),
    Column("deleted_utc_ns", BigInteger),
    UniqueConstraint("epoch", "sequence", "camera"),
    Index(None, "sha256"),
    Index(None, "deleted_utc_ns", "stored_utc_ns"),
)
"""A stored picture; several rows may share one file. ``deleted_utc_ns``: when retention removed the file, the row stays."""

label = Table(
    "label",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("epoch", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("camera", String(32), nullable=False),
    Column("version", Integer, nullable=False),
    Column("image_sha256", String(64)),
    Column("mask_sha256", String(64)),
    Column("classes", Text, nullable=False),
    Column("decision", String(16), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("must_catch", Boolean, nullable=False),
    Column("by", Text, nullable=False),
    Column("at_utc_ns", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    Column("source", String(16), nullable=False, server_default=""),
    Column("probability", Float),
    UniqueConstraint("epoch", "sequence", "camera", "version"),
    Index(None, "image_sha256"),
    Index(None, "kind", "at_utc_ns"),
)
"""One saved judgement of a person, never changed: a new opinion is a new version. ``camera`` "" means the whole part.
``kind``: label, escape or overkill. ``must_catch``: a case of the release gate. ``source``: the queue it was found in, "" for
none; ``probability``: the chance the part had of being in it, None where it was looked for on purpose."""

user = Table(
    "user",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("pin_hash", Text, nullable=False),
    Column("badge_hash", Text),
    Column("role", String(16), nullable=False),
    Column("language", String(8), nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("failed_attempts", Integer, nullable=False),
    Column("locked_until_utc_ns", BigInteger),
    Column("created_utc_ns", BigInteger, nullable=False),
)

session = Table(
    "session",
    metadata,
    Column("token_sha256", String(64), primary_key=True),
    Column("user_name", String(64), nullable=False),
    Column("started_utc_ns", BigInteger, nullable=False),
    Column("seen_utc_ns", BigInteger, nullable=False),
    Column("expires_utc_ns", BigInteger, nullable=False),
    Column("ended_utc_ns", BigInteger),
    ForeignKeyConstraint(["user_name"], ["user.name"]),
    Index(None, "user_name"),
)

job = Table(
    "job",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("kind", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("spec", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("created_utc_ns", BigInteger, nullable=False),
    Column("started_utc_ns", BigInteger),
    Column("ended_utc_ns", BigInteger),
    Column("lease_owner", Text),
    Column("lease_until_utc_ns", BigInteger),
    Column("heartbeat_utc_ns", BigInteger),
    Column("progress", Float, nullable=False),
    Column("progress_text", Text, nullable=False),
    Column("cancel", Boolean, nullable=False),
    Column("result", Text),
    Index(None, "state", "id"),
)
"""Training and release jobs. ``state``: waiting, running, done, failed, cancelled. A lease that ran out may be taken over. A
running job with a ``result`` can't be cancelled any more."""

station_state = Table(
    "station_state",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
    Column("at_utc_ns", BigInteger, nullable=False),
)
