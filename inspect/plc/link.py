"""The PLC thread: polls, reports triggers, writes verdicts, keeps the heartbeats and tells the truth about the link."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from linegate.inspect.part import Trigger
from linegate.inspect.plc.beats import ExchangeTimes, HeartbeatWatch, VisionHeartbeat
from linegate.inspect.plc.counting import Seen, TriggerCounter
from linegate.inspect.plc.driver import PlcDriver, PlcError
from linegate.inspect.plc.outbox import Done, Letter, Outbox
from linegate.inspect.plc.registers import ErrorCode, PlcBlock, Slot, State, Status, VisionBlock
from linegate.inspect.settings import PlcSettings

log = logging.getLogger(__name__)

RECONNECT_FIRST_MS = 20.0
RECONNECT_MOST_MS = 250.0
UNBELIEVABLE_BLOCKS = 3
"""So many P blocks in a row that contradict themselves take the link down; one may be a torn read."""
STOP_WAIT_S = 5.0
NO_STATUS = Status(0)
VOUCHING = Status.SYNC_OK | Status.LOG_OK


@dataclass(frozen=True, slots=True)
class VisionState:
    """What the line has to say in the next V block.

    ``alive`` must mean that the whole verdict path lives: while it is False the heartbeat stands still, and the gate
    rejects 300 ms later at the latest.
    """

    alive: bool
    state: State = State.PREOPERATIONAL
    status: Status = NO_STATUS
    error: ErrorCode = ErrorCode.NONE
    recipe: int = 0
    command_ack: int = 0
    inspected: int = 0
    ng: int = 0
    not_inspected: int = 0


_DEAD = VisionState(alive=False, state=State.ERROR, error=ErrorCode.SYNC)


class LinkClient(Protocol):
    """Who the link works for: the tracker. All calls come on the link thread and must return within about 0.1 ms.

    A call that raises is a broken verdict path: the heartbeat stops for good, so that the gate rejects, and ``status``
    says why.
    """

    def on_triggers(self, triggers: Sequence[Trigger], block: PlcBlock) -> None:
        """New parts since the last exchange, oldest first; each part once."""
        ...

    def on_epoch(self, epoch: int, block: PlcBlock) -> None:
        """First contact, or the PLC restarted, and its counters are the new epoch's own: everything in flight is void. Parts
        1 to ``block.triggered`` of this epoch are never reported by ``on_triggers``; which of them need a row is the client's
        to reconcile."""
        ...

    def on_link(self, up: bool, detail: str) -> None:
        """The connection or the PLC's heartbeat was lost (``detail`` says which), or all is well again. Only changes are
        told, the first state always."""
        ...

    def on_block(self, block: PlcBlock) -> None:
        """After every exchange whose block is whole, after ``on_epoch`` and ``on_triggers``."""
        ...

    def vision(self) -> VisionState:
        """Before every exchange. If it raises, that exchange's heartbeat stands still and its status bits are 0."""
        ...


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """A snapshot for screens and reports. ``lost`` counts broken exchanges, ``reconnects`` connections after the first."""

    up: bool
    detail: str
    epoch: int | None
    exchanges: int
    exchange_p50_ms: float
    exchange_p99_ms: float
    lost: int
    reconnects: int
    written: int
    refused: int


class PlcLink:
    """One PLC, one thread. See LinkClient for what it reports, ``submit`` for what it takes.

    What it never does: write a slot twice, write one after its deadline, for another epoch than the PLC's last one,
    or while it is not sure of the PLC. What was queued when the connection broke is discarded, because whether the PLC
    took it is unknown and the part has moved on.
    """

    def __init__(
        self,
        driver: PlcDriver,
        settings: PlcSettings,
        client: LinkClient,
        deadline_ms: float,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._driver = driver
        self._client = client
        self._clock = clock
        self._poll_ns = int(settings.poll_ms * 1e6)
        self._stuck_ns = int((2 * settings.timeout_ms + 1000) * 1e6)
        self._counter = TriggerCounter(deadline_ms)
        self._outbox = Outbox()
        self._beat = VisionHeartbeat()
        self._watch = HeartbeatWatch(settings.heartbeat_lost_ms)
        self._times = ExchangeTimes()
        self._connected = False
        self._up = False
        self._told: bool | None = None
        self._mute = False
        self._detail = "not connected yet"
        self._fault = ""
        self._unbelievable = 0
        self._vouching = self._vouched = False
        self._doubt_ns = 0
        self._newest = 0
        self._retry_ns = 0
        self._pause_ms = RECONNECT_FIRST_MS
        self._lost = self._connections = self._written = self._refused = 0
        self._wake = threading.Condition()
        self._woken = False
        self._stopping = False
        self._stamp_ns = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; it connects by itself and keeps trying."""
        self._stopping = False
        self._stamp_ns = self._clock()
        self._thread = threading.Thread(target=self._run, name="linegate-plc", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Discard what waits, tell the PLC that no verdict will come any more, and let go of it."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(STOP_WAIT_S)
            self._thread = None

    def submit(self, slot: Slot, deadline_ns: int, done: Done) -> None:
        """Hand a verdict over, from any thread. It is written at once, not at the next poll; ``done(written, at_ns)``
        follows on the link thread exactly once. ``written`` False means: not written, or nobody knows."""
        self._outbox.put(Letter(slot, deadline_ns, done))
        with self._wake:
            if not self._stopping:
                self._woken = True
                self._wake.notify()
                return
        self._refuse(self._outbox.empty())

    @property
    def doubt_ns(self) -> int:
        """Until then (``clock``) the PLC may have had reason not to trust a verdict: the V block it went by did not vouch, or
        whether it had got one is unknown. For the client's ``on_block``."""
        return self._doubt_ns

    @property
    def alive(self) -> bool:
        """Whether the thread runs and is not stuck."""
        thread = self._thread
        return thread is not None and thread.is_alive() and self._clock() - self._stamp_ns < self._stuck_ns

    def status(self) -> LinkStatus:
        """From any thread."""
        return LinkStatus(
            up=self._up,
            detail=self._fault or self._detail,
            epoch=self._counter.epoch,
            exchanges=self._times.count,
            exchange_p50_ms=self._times.percentile_ms(50),
            exchange_p99_ms=self._times.percentile_ms(99),
            lost=self._lost,
            reconnects=max(0, self._connections - 1),
            written=self._written,
            refused=self._refused,
        )

    def step(self) -> int:
        """One turn of the thread: connect or exchange. Returns the ``clock`` time of the next turn. For the thread, and for
        tests that bring their own clock."""
        begin_ns = self._clock()
        if not self._connected:
            if begin_ns >= self._retry_ns:
                self._connect()
            if not self._connected:
                self._refuse(self._outbox.empty())
                return self._retry_ns
        self._exchange()
        if not self._connected:
            return self._retry_ns
        return begin_ns + self._poll_ns

    def _run(self) -> None:
        due_ns = 0
        while True:
            with self._wake:
                while not self._stopping and not self._woken and (left := due_ns - self._clock()) > 0:
                    self._wake.wait(left / 1e9)
                if self._stopping:
                    break
                self._woken = False
            self._stamp_ns = self._clock()
            due_ns = self.step()
        self._farewell()

    def _connect(self) -> None:
        try:
            self._driver.connect()
        except PlcError as error:
            self._drop(str(error))
            return
        self._connected = True
        self._connections += 1
        self._unbelievable = 0
        self._watch.begin(self._clock())
        self._counter.interrupt()

    def _exchange(self) -> None:
        """Slots first, so that a heartbeat never vouches for a slot that is not there yet."""
        epoch = self._counter.epoch
        good: list[Letter] = []
        if not self._up or epoch is None:
            self._refuse(self._outbox.empty())
        elif self._sure:
            good, refused = self._outbox.take(self._clock(), epoch, self._newest)
            self._refuse(refused)
        try:
            if good:  # between the check of their deadlines and the wire lies nothing slow
                self._driver.write([letter.slot for letter in good])
            written_ns = self._clock()
            vision = self._vision(written_ns)
            sent_ns = self._clock()
            block = self._driver.exchange(vision)
        except PlcError as error:
            self._lost += 1
            self._vouched = False
            self._drop(str(error))
            self._refuse([*good, *self._outbox.empty()])
            return
        self._times.add(self._clock() - sent_ns)
        if not (self._vouching and self._vouched):
            self._doubt_ns = self._clock()
        self._vouched = self._vouching
        self._pause_ms = RECONNECT_FIRST_MS
        written = block.epoch == epoch
        self._written += len(good) if written else 0
        self._tell(good, written, written_ns)
        self._read(block, sent_ns)

    def _read(self, block: PlcBlock, sent_ns: int) -> None:
        now_ns = self._clock()
        self._watch.see(block.heartbeat, now_ns)
        seen, triggers = self._counter.see(block, sent_ns)
        if seen in (Seen.TORN, Seen.BACKWARDS):
            self._unbelievable += 1
            if self._unbelievable >= UNBELIEVABLE_BLOCKS:
                self._set_link(False, _contradiction(seen, block))
            return
        self._unbelievable = 0
        ended = self._counter.take_ended()
        if ended is not None:
            self._call(self._client.on_epoch, ended.epoch, ended)
            self._call(self._client.on_block, ended)
        if seen is Seen.SETTLING:
            self._detail = f"the PLC has begun epoch {block.epoch}; its counters may not be cleared yet"
            if self._up:
                self._set_link(False, self._detail)
            return
        self._newest = block.trig_id
        if seen is Seen.NEW_EPOCH:
            self._refuse(self._outbox.empty())
            self._call(self._client.on_epoch, block.epoch, block)
        elif triggers:
            self._call(self._client.on_triggers, triggers, block)
        self._call(self._client.on_block, block)
        frozen_ms = self._watch.frozen_ms(now_ns)
        if frozen_ms:
            self._set_link(False, f"the PLC answers, but its heartbeat has stood still for {frozen_ms:.0f} ms")
        else:
            self._set_link(True, f"connected, epoch {block.epoch}")

    def _vision(self, now_ns: int) -> VisionBlock:
        said = _DEAD
        if not self._fault:
            try:
                said = self._client.vision()
                self._mute = False
            except Exception:
                if not self._mute:
                    log.exception("the line can't say its state; the heartbeat stands still")
                self._mute = True
        status = said.status if self._sure else said.status & ~Status.SYNC_OK
        self._vouching = said.alive and VOUCHING in status
        return VisionBlock(
            heartbeat=self._beat.value(now_ns, alive=said.alive),
            state=said.state,
            status=status,
            error=said.error,
            recipe=said.recipe,
            epoch_echo=self._counter.epoch or 0,
            command_ack=said.command_ack,
            inspected=said.inspected,
            ng=said.ng,
            not_inspected=said.not_inspected,
        )

    @property
    def _sure(self) -> bool:
        """Whether the last block was whole and of the epoch that is known."""
        return self._up and self._unbelievable == 0

    def _drop(self, detail: str) -> None:
        self._connected = False
        self._driver.close()
        self._retry_ns = self._clock() + int(self._pause_ms * 1e6)
        self._pause_ms = min(2 * self._pause_ms, RECONNECT_MOST_MS)
        self._set_link(False, detail)

    def _set_link(self, up: bool, detail: str) -> None:
        self._up, self._detail = up, detail
        if up is not self._told:
            self._told = up
            self._call(self._client.on_link, up, detail)

    def _refuse(self, letters: Sequence[Letter]) -> None:
        self._refused += len(letters)
        self._tell(letters, False, self._clock())

    def _tell(self, letters: Sequence[Letter], written: bool, at_ns: int) -> None:
        for letter in letters:
            self._call(letter.done, written, at_ns)

    def _call(self, what: Callable[..., None], *about: object) -> None:
        try:
            what(*about)
        except Exception as error:
            log.exception("the verdict path failed; the heartbeat stops and the gate rejects")
            self._fault = self._fault or f"the verdict path failed: {type(error).__name__}: {error}"

    def _farewell(self) -> None:
        self._refuse(self._outbox.empty())
        if self._connected:
            try:
                self._driver.exchange(
                    VisionBlock(
                        heartbeat=self._beat.value(self._clock(), alive=False),
                        state=State.PREOPERATIONAL,
                        status=NO_STATUS,
                        error=ErrorCode.NONE,
                        recipe=0,
                        epoch_echo=0,
                        command_ack=0,
                        inspected=0,
                        ng=0,
                        not_inspected=0,
                    )
                )
            except PlcError as error:
                log.info("the PLC did not hear the farewell: %s", error)
        self._connected = False
        self._driver.close()
        self._set_link(False, "stopped")


def _contradiction(seen: Seen, block: PlcBlock) -> str:
    if seen is Seen.TORN:
        return f"TRIG_ID {block.trig_id} is not the low word of the trigger count {block.triggered}; see docs/plc.md"
    return (
        f"the trigger count fell to {block.triggered} without a new epoch; the PLC's program must change register 201 "
        "at every start"
    )
