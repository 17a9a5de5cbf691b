"""A station's past for the review screen's tests: parts, pictures, a model, through the real log writer and image store."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sqlalchemy import func, select

from linegate.inspect.part import Cause, Decision, GateResult, PartKey, Region, WireVerdict
from linegate.inspect.partlog.commands import CommandBox
from linegate.inspect.partlog.images import ImageStore
from linegate.inspect.partlog.labels import REPORTED, LabelStore, NewLabel
from linegate.inspect.partlog.masks import encode_mask
from linegate.inspect.partlog.records import Outcome, PartRecord, ViewRecord
from linegate.inspect.partlog.schema import image as image_table
from linegate.inspect.partlog.writer import PartLog
from linegate.inspect.settings import ImageSettings, LogSettings
from linegate.models.bundle import Bundle, save_bundle
from linegate.models.certificate import certify
from linegate.models.store import BundleStore

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "models"))
from tiny import findings

EPOCH = 0x1A2B
CLASSES = ("scratch", "dent", "stain")
SIZE = (1024, 800)
LARGE = (4000, 3000)
PIXEL_MM = 0.1
HOUR_NS = 3_600_000_000_000


def plate(size: tuple[int, int] = SIZE, seed: int = 1) -> NDArray[np.uint8]:
    """(H, W) uint8: a brushed plate with five holes on black."""
    width, height = size
    rng = np.random.default_rng(seed)
    brushed = 168 + cv2.blur(rng.normal(0, 80, (height, width)).astype(np.float32), (61, 1))
    image = np.full((height, width), 30, np.uint8)
    mask = np.zeros((height, width), np.uint8)
    unit = width / 1024
    cv2.rectangle(mask, (int(110 * unit), int(90 * unit)), (width - int(110 * unit), height - int(90 * unit)), 255, -1)
    for x in (int(200 * unit), width - int(200 * unit)):
        for y in (int(180 * unit), height - int(180 * unit)):
            cv2.circle(mask, (x, y), int(36 * unit), 0, -1)
    cv2.circle(mask, (width // 2, height // 2), int(120 * unit), 0, -1)
    image[mask > 0] = np.clip(brushed, 0, 255).astype(np.uint8)[mask > 0]
    return image


def defect(kind: str, x: int, y: int, size: int = 60) -> tuple[NDArray[np.uint8], Region]:
    """A mask over the plate, (H, W), and the region a model would report."""
    mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    if kind == "scratch":
        points = np.array([[x, y + size // 2], [x + size // 3, y + 6], [x + size, y]], np.int32)
        cv2.polylines(mask, [points], isClosed=False, color=255, thickness=5)
    else:
        cv2.ellipse(mask, (x + size // 2, y + size // 3), (size // 2, size // 3), 20, 0, 360, 255, -1)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=len).reshape(-1, 2).astype(np.int32)
    bx, by, bw, bh = cv2.boundingRect(outline)
    area = float(np.count_nonzero(mask)) * PIXEL_MM**2
    centre = (bx + bw / 2) * PIXEL_MM, (by + bh / 2) * PIXEL_MM
    return mask, Region(kind, 0.9, area, max(bw, bh) * PIXEL_MM, *centre, (bx, by, bw, bh), outline)


def network() -> bytes:
    """Heat where a pixel is darker than its bright surroundings: a blob detector drawn by hand."""
    k = 31
    kernel = np.ones((1, 1, k, k), np.float32) / (k * k)
    smooth = np.ones((1, 1, 5, 5), np.float32) / 25
    gains = np.array([1.0, 0.7, 0.5], np.float32).reshape(1, 3, 1, 1)
    values = {"kernel": kernel, "smooth": smooth, "gains": gains, "zero": np.array(0, np.float32),
              "one": np.array(1, np.float32), "range": np.array(60, np.float32), "bright": np.array(120, np.float32),
              "spread": np.ones((3, 8), np.float32)}  # fmt: skip
    make = helper.make_node
    nodes = [
        make("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        make("Conv", ["x", "kernel"], ["mean"], kernel_shape=[k, k], pads=[k // 2] * 4),
        make("Sub", ["mean", "x"], ["darker"]),
        make("Div", ["darker", "range"], ["ratio"]),
        make("Clip", ["ratio", "zero", "one"], ["dark"]),
        make("Greater", ["mean", "bright"], ["on_plate"]),
        make("Cast", ["on_plate"], ["plate"], to=TensorProto.FLOAT),
        make("Mul", ["dark", "plate"], ["found"]),
        make("Conv", ["found", "smooth"], ["soft"], kernel_shape=[5, 5], pads=[2] * 4),
        make("Mul", ["soft", "gains"], ["raw"]),
        make("Clip", ["raw", "zero", "one"], ["mask"]),
        make("GlobalMaxPool", ["mask"], ["peaks"]),
        make("Flatten", ["peaks"], ["flat"]),
        make("ReduceMax", ["flat"], ["part"], keepdims=1, axes=[1]),
        make("MatMul", ["flat", "spread"], ["embedding"]),
    ]
    shape = [1, 1, 400, 512]
    graph = helper.make_graph(
        nodes,
        "darker",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, shape)],
        [
            helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 3, 400, 512]),
            helper.make_tensor_value_info("part", TensorProto.FLOAT, [1, 1]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, 8]),
        ],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


def make_bundle(folder: Path, version: str = "1.0") -> Bundle:
    """A bundle of that network."""
    one = {"review": 0.5, "reject": 0.8}
    fields = {
        "name": "panel",
        "version": version,
        "classes": CLASSES,
        "input": {"width_px": 512, "height_px": 400, "channels": 1, "stride_px": 1, "pixel_mm": PIXEL_MM},
        "embedding": 8,
        "thresholds": {
            "part_review": 0.5,
            "part_reject": 0.8,
            "classes": dict.fromkeys(CLASSES, one),
            "guarantee": "too few parts for a promise: drawn by hand",
        },
        "provenance": {
            "command": "drawn by hand",
            "commit": "0" * 40,
            "seed": 0,
            "data_sha256": "0" * 64,
            "data": "none",
            "trained_utc": "2026-01-01T00:00:00Z",
            "minutes": 0,
        },
    }
    return save_bundle(folder, fields, network())


def certify_bundle(folder: Path, draft: Bundle) -> Bundle:
    """The same with the gate's certificate."""
    parity = [{"build": "openvino bf16", "reference": "openvino accuracy", "pictures": 299, "within": True}]
    return certify(draft, findings(draft, parity=parity), "Quinn Li", "new burrs", folder)


class Past:
    """Writes parts of the last hours. ``close`` waits until every row and picture is there."""

    def __init__(self, data: Path, *, url: str = "", start_hours_ago: float = 6.0) -> None:
        self.data = data
        self.log = PartLog.open(LogSettings(url=url, min_free_mb=0), data)
        self.log.start()
        self.images = ImageStore(data, ImageSettings(queue=4096), self.log)
        self.images.start()
        self.sequence = 0
        self.at_ns = time.time_ns() - round(start_hours_ago * HOUR_NS)
        self.step_ns = 120_000_000_000
        self.plate = plate()
        self.bundle: Bundle | None = None
        self._open: list[threading.Event] = []

    def model(self, bundle: Bundle) -> None:
        """Judged by this one from now on."""
        self.bundle = bundle
        manifest = bundle.manifest
        self.log.register_bundle(bundle.sha256, manifest.name, manifest.version, manifest.model_dump_json())
        self.log.register_recipe(1, "Panel A", "{}")

    def part(
        self,
        decision: Decision = Decision.OK,
        *defects: tuple[NDArray[np.uint8], Region],
        score: float = 0.05,
        lot: str = "LOT-1",
        keep: float | None = None,
        picture: NDArray[np.uint8] | None = None,
        embedding: NDArray[np.float32] | None = None,
        cause: Cause = Cause.JUDGED,
        camera: str = "top",
        seen: tuple[Region, ...] | None = None,
        serial: str = "",
        challenge: bool = False,
        side: NDArray[np.uint8] | None = None,
    ) -> PartKey:
        """One part. ``keep``: its picture was kept by chance with this probability; None keeps it on purpose unless OK.
        ``seen``: what the model saw, where that differs from what is there. ``serial``: "" numbers it. ``side``: what a
        second camera saw, and found nothing."""
        self.sequence += 1
        self.at_ns += self.step_ns
        key = PartKey(EPOCH, self.sequence)
        image = picture
        if image is None:
            image = np.roll(self.plate, self.sequence % 7, axis=1)
            for mask, _ in defects:
                image[mask > 0] = 88
        regions = tuple(region for _, region in defects) if seen is None else seen
        worst = max(regions, key=lambda r: r.score, default=None)
        reason = f"No defect that counts; part score {score:.3f} (limit 0.500)"
        if worst:
            place = f"at {worst.x_mm:.0f}, {worst.y_mm:.0f} mm"
            size = f"{worst.length_mm:.1f} mm long, {worst.area_mm2:.2f} mm²"
            reason = f"{worst.defect_class.capitalize()} {size}, score {worst.score:.2f} (score limit 0.80) {place}"
        vector = (
            embedding if embedding is not None else np.random.default_rng(self.sequence).random(8).astype(np.float32)
        )
        lost = cause is not Cause.JUDGED
        view = ViewRecord(
            camera, None if lost else self.sequence, None if lost else self.sequence * 1000, image.shape[1], image.shape[0],
            decision, score, reason, regions, None if lost else vector,
        )  # fmt: skip
        views = (view,)
        if side is not None:
            size = side.shape[1], side.shape[0]
            views += (ViewRecord("side", self.sequence, 1, *size, Decision.OK, 0.02, "nothing found", (), None),)
        assert self.bundle is not None
        record = PartRecord(
            key=key,
            triggered_utc_ns=self.at_ns,
            recipe_id=1,
            recipe_name="Panel A",
            bundle_sha256=self.bundle.sha256,
            thresholds=json.dumps({"bundle": self.bundle.manifest.thresholds.model_dump(mode="json")}),
            lot=lot,
            serial=serial or f"SN{self.sequence:06d}",
            decision=decision,
            cause=cause,
            reason=reason if not lost else f"no picture: {cause}",
            score=score,
            defect_class=worst.defect_class if worst else "",
            keep_probability=keep,
            challenge=challenge,
            encoder=self.sequence * 100,
            views=views,
        )
        stored = threading.Event()
        self._open.append(stored)
        self.log.put(record, lambda _error: stored.set())
        wait(stored)
        rng = np.random.default_rng(self.sequence)
        latency = float(np.clip(rng.lognormal(2.7, 0.25), 6, 180))
        self.log.put_outcome(Outcome(key, WireVerdict.of(decision), True, latency, 200.0 - latency))
        self.log.put_gate_result(key, GateResult.PASSED if decision is Decision.OK else GateResult.REJECTED)
        if not lost and (decision is not Decision.OK or keep is not None or picture is not None):
            reason_kept = "sample" if decision is Decision.OK and keep is not None else str(decision).lower()
            for name, seen_by in ((camera, image), ("side", side)):
                if seen_by is not None:
                    self.images.put(seen_by, key, name, reason_kept, keep if keep is not None else 1.0)
        return key

    def report(self, box: CommandBox, kind: str, key: PartKey, x_px: int, y_px: int) -> None:
        """An operator marks a part at the panel, and the line takes it: a command, its answer, and a version of the label."""
        args = {"key": str(key), "camera": "top", "x_px": x_px, "y_px": y_px}
        number = box.send(kind, args, by="Otto Frei", role="operator")
        assert box.take((kind,)) is not None
        decision = Decision.NG if kind == "escape" else Decision.OK
        note = f"at {x_px}, {y_px} px"
        said = NewLabel(
            key, "top", decision, "Otto Frei", kind=kind, must_catch=kind == "escape", note=note, source=REPORTED
        )
        LabelStore(self.log.writer_engine, self.log.reader, self.data).save(said, parent=0)
        box.ack(number, True, f"part {key}: it waits for review")

    def settle(self) -> None:
        """Wait until every picture has its file and its row."""
        self.images.close(60)
        status = self.images.status()
        expected, rows = status.stored + status.duplicates, select(func.count()).select_from(image_table)
        deadline = time.monotonic() + 20
        with self.log.reader.connect() as connection:
            while connection.execute(rows).scalar_one() < expected:
                connection.rollback()
                assert time.monotonic() < deadline, "a picture's row is missing"
                time.sleep(0.01)

    def close(self) -> None:
        """Everything durable."""
        self.images.close(60)
        self.log.close(60)


def wait(event: threading.Event) -> None:
    assert event.wait(20), "the log did not store the row"


def seed(data: Path, parts: int = 90) -> dict[str, PartKey]:
    """A shift with everything in it; returns the parts that tests ask for by name."""
    store = BundleStore(data / "models")
    folder = data / "made"
    live = certify_bundle(folder / "one", make_bundle(folder / "one-draft"))
    store.add(live.folder, "Quinn Li", "first")
    name = store.pointers().candidates[0]
    store.promote(name, "Quinn Li", "start of production")
    better = certify_bundle(folder / "two", make_bundle(folder / "two-draft", "1.1"))
    store.add(better.folder, "worker", "job 1")
    store.add(make_bundle(folder / "three", "1.2").folder, "worker", "job 2")
    past = Past(data)
    past.model(live)
    named: dict[str, PartKey] = {}
    rng = np.random.default_rng(5)
    try:
        for lot in ("LOT-1", "LOT-2", "LOT-3"):
            past.log.start_lot(lot, "Lena Braun")
        named["two"] = past.part(keep=0.1, lot="LOT-1", side=plate((640, 480)))
        named["old class"] = past.part(Decision.NG, defect("dent", 400, 200), score=0.9, lot="LOT-1")
        named["slashed"] = past.part(lot="LOT-1", serial="A/1/B")
        named["large"] = past.part(keep=1.0, lot="LOT-1", picture=plate(LARGE), camera="wide")
        for n in range(parts):
            lot = f"LOT-{1 + 3 * n // parts}"
            x, y = int(rng.integers(150, 780)), int(rng.integers(130, 600))
            kind = CLASSES[int(rng.choice(3, p=[0.6, 0.28, 0.12]))]
            bad = rng.random() < (0.45 if 0.55 < n / parts < 0.62 else 0.1)
            if n % 11 == 4:
                named["review"] = past.part(Decision.REVIEW, defect(kind, x, y), score=0.62, lot=lot)
            elif bad:
                named["ng"] = past.part(Decision.NG, defect(kind, x, y), score=0.93, lot=lot)
            elif n == 20:
                past.part(Decision.NOT_INSPECTED, cause=Cause.FRAME_TIMEOUT, lot=lot)
            elif n % 9 == 1:
                named["sample"] = past.part(lot=lot, keep=0.1, score=float(rng.random() * 0.2))
            elif n % 17 == 2:
                named["near"] = past.part(lot=lot, keep=0.1, score=0.41)
            else:
                past.part(lot=lot, score=float(rng.random() * 0.25))
        line = np.eye(8, dtype=np.float32)[0]
        scratch = defect("scratch", 640, 560, 90)
        named["escaped"] = past.part(scratch_ok := Decision.OK, scratch, keep=0.1, lot="LOT-3", embedding=line, seen=())
        for tilt in (0.02, 0.1, 0.3):
            near = line + tilt * np.eye(8, dtype=np.float32)[1]
            named["last"] = named[f"alike {tilt}"] = past.part(scratch_ok, keep=0.1, lot="LOT-3", embedding=near)
        past.log.record_event(
            "shadow_disagreement", "info", "panel 1.1 says NG, live said OK", named["near"], {"score": 0.83}
        )
        past.settle()
        old = np.zeros((SIZE[1], SIZE[0]), np.uint8)
        old[100:140, 100:180] = 2
        store = LabelStore(past.log.writer_engine, past.log.reader, data)
        mask, classes = store.masks.put(encode_mask(old)), ("scratch", "rust")
        store.save(NewLabel(named["old class"], "top", Decision.NG, "Quinn Li", mask.sha256, classes), parent=0)
        box = CommandBox.open(LogSettings(), data)
        past.report(box, "escape", named["escaped"], 680, 590)
        past.report(box, "overkill", named["ng"], 5, 5)
        box.close()
    finally:
        past.close()
    return named
