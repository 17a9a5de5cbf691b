"""One part on its way from the photo-eye to the written verdict, as the tracker keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from linegate.cameras.frame import Frame
from linegate.inspect.part import Cause, Judgement, PartKey, Trigger
from linegate.inspect.partlog.records import PartRecord, ViewRecord
from linegate.inspect.recipes import ActiveRecipe


@dataclass(slots=True, eq=False)
class PartUnderWay:
    """What is known of it so far. Guarded by the tracker's lock."""

    trigger: Trigger
    active: ActiveRecipe
    lot: str
    serial: str
    challenge: bool
    waiting: set[str]
    unconfirmed: dict[str, int] = field(default_factory=dict)  # camera → received_ns, in requested mode
    unproven: set[str] = field(default_factory=set)  # wired cameras whose picture may yet turn out to be another part's
    frames: dict[str, Frame] = field(default_factory=dict)
    views: dict[str, tuple[ViewRecord, Judgement]] = field(default_factory=dict)
    record: PartRecord | None = None
    logged: bool = False  # the log has answered, for better or worse
    durable: bool = False
    sent: bool = False  # handed to the PLC link, which will answer
    closed: bool = False
    marks_ns: dict[str, int] = field(default_factory=dict)
    stages_ns: Mapping[str, int] = field(default_factory=dict)

    @property
    def key(self) -> PartKey:
        """The part's identity."""
        return self.trigger.key

    def held(self) -> PartRecord:
        """Its record: a part is only sent or closed after it was decided."""
        if self.record is None:
            raise AssertionError(f"part {self.key} was closed before it was decided")
        return self.record

    def recorded(self, judgement: Judgement, cause: Cause) -> PartRecord:
        """Its row, decided like this; a view that is not proven to show the part is left out."""
        active = self.active
        return PartRecord(
            key=self.key,
            triggered_utc_ns=self.trigger.utc_ns,
            recipe_id=active.recipe.id,
            recipe_name=active.recipe.name,
            bundle_sha256=active.bundle.sha256,
            thresholds=active.thresholds_json,
            lot=self.lot,
            serial=self.serial,
            decision=judgement.decision,
            cause=cause,
            reason=judgement.reason,
            score=judgement.score,
            defect_class=judgement.defect_class,
            keep_probability=None,
            challenge=self.challenge,
            encoder=self.trigger.encoder,
            views=tuple(view for camera, (view, _) in self.views.items() if camera not in self.unproven),
        )
