"""Any order of triggers, verdicts, losses and restarts: what the link may never do, it never does."""

from __future__ import annotations

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from linegate.inspect.plc.driver import PlcDriver, PlcLost
from linegate.inspect.plc.link import PlcLink, VisionState
from linegate.inspect.plc.registers import Control, Fault, PlcBlock, Slot, State, Status
from linegate.inspect.settings import PlcSettings

MS = 1_000_000
SYNCED = Status.SYNC_OK | Status.LOG_OK


class WirePlc:
    """A PlcDriver whose other end is this object: it keeps the log of everything that reached "the PLC"."""

    def __init__(self):
        self.now_ns = 10**12
        self.epoch, self.triggered = 1, 0
        self.reachable, self.beating = True, True
        self.fail_next = ""
        self.connected = False
        self.written: list[tuple[Slot, int, int]] = []  # slot, when, epoch that the link had last been told
        self.vouched: list[tuple[bool, int, int]] = []  # SyncOK, epoch echo, PLC's epoch
        self.told_epoch = 0
        self.proven = False  # the last exchange of this connection showed a whole block
        self.promised_unproven = 0

    def clock(self):
        return self.now_ns

    def _lost(self):
        self.connected = False
        return PlcLost("PLC", expected="an answer", found="none", remedy="")

    def connect(self):
        if not self.reachable:
            raise self._lost()
        self.connected, self.proven = True, False

    def close(self):
        self.connected = False

    def write(self, slots):
        if not (self.connected and self.reachable) or self.fail_next == "before":
            self.fail_next = ""
            raise self._lost()
        for slot in slots:
            self.written.append((slot, self.now_ns, self.told_epoch))
        self.now_ns += MS // 4
        if self.fail_next == "between":
            self.fail_next = ""
            raise self._lost()

    def exchange(self, block):
        if not (self.connected and self.reachable) or self.fail_next == "before":
            self.fail_next = ""
            raise self._lost()
        self.promised_unproven += Status.SYNC_OK in block.status and not self.proven
        self.vouched.append((Status.SYNC_OK in block.status, block.epoch_echo, self.told_epoch))
        self.now_ns += MS // 4
        if self.fail_next == "after":
            self.fail_next = ""
            raise self._lost()
        torn, self.fail_next = self.fail_next == "torn", ""
        self.proven = not torn
        return PlcBlock(
            heartbeat=self.now_ns // (50 * MS) & 0xFFFF if self.beating else 0,
            epoch=self.epoch,
            trig_id=(self.triggered + torn) & 0xFFFF,
            encoder=0,
            control=Control.RUN,
            command=0,
            recipe_asked=0,
            faults=Fault(0),
            triggered=self.triggered,
            passed=0,
            rejected=0,
            confirmed=0,
            no_verdict=0,
            read_ns=self.now_ns,
        )


class Client:
    def __init__(self, plc):
        self.plc = plc
        self.triggers, self.epochs, self.ups = [], [], []

    def on_triggers(self, triggers, block):
        assert triggers
        self.triggers.extend(triggers)

    def on_epoch(self, epoch, block):
        self.plc.told_epoch = epoch
        self.epochs.append((epoch, block.triggered, len(self.triggers)))

    def on_link(self, up, detail):
        self.ups.append(up)

    def on_block(self, block):
        pass

    def vision(self):
        return VisionState(alive=True, state=State.CONTINUOUS_EXECUTION, status=SYNCED)


class LinkMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.plc = WirePlc()
        assert isinstance(self.plc, PlcDriver)
        self.client = Client(self.plc)
        self.link = PlcLink(self.plc, PlcSettings(), self.client, 200.0, clock=self.plc.clock)
        self.submitted: list[tuple[Slot, int, list[tuple[bool, int]]]] = []

    def turn(self):
        due = self.link.step()
        self.plc.now_ns = max(self.plc.now_ns, due)

    @rule(n=st.integers(1, 20))
    def trigger(self, n):
        self.plc.triggered += n

    @rule()
    def step(self):
        self.turn()

    @rule(ms=st.sampled_from([1, 7, 60, 250, 900]))
    def wait(self, ms):
        self.plc.now_ns += ms * MS

    @rule(
        back=st.integers(-1, 18),
        stale_epoch=st.sampled_from([0, 0, 0, 1]),
        deadline_ms=st.sampled_from([-1, 1, 3, 100]),
        verdict=st.integers(1, 3),
    )
    def submit(self, back, stale_epoch, deadline_ms, verdict):
        slot = Slot((self.plc.epoch - stale_epoch) & 0xFFFF, (self.plc.triggered - back) & 0xFFFF, verdict, 0, 0, 0)
        told: list[tuple[bool, int]] = []
        deadline = self.plc.now_ns + deadline_ms * MS
        self.submitted.append((slot, deadline, told))
        self.link.submit(slot, deadline, lambda written, at_ns: told.append((written, at_ns)))

    @rule(how=st.sampled_from(["before", "between", "after", "torn"]))
    def fail(self, how):
        self.plc.fail_next = how

    @rule()
    def unplug(self):
        self.plc.reachable = False

    @rule()
    def plug(self):
        self.plc.reachable = True

    @rule(beating=st.booleans())
    def heartbeat(self, beating):
        self.plc.beating = beating

    @rule(counted=st.integers(0, 3), keeps_the_socket=st.booleans())
    def restart_plc(self, counted, keeps_the_socket):
        self.plc.epoch = (self.plc.epoch + 1) & 0xFFFF
        self.plc.triggered = counted
        self.plc.connected &= keeps_the_socket

    @precondition(lambda self: self.submitted)
    @rule()
    def recover_and_drain(self):
        self.plc.reachable, self.plc.beating, self.plc.fail_next = True, True, ""
        for _ in range(700):  # a restarted PLC's counters have a second to settle
            self.turn()
        assert self.client.ups[-1] is True
        assert all(len(told) == 1 for *_, told in self.submitted)
        _epoch, base, at = self.client.epochs[-1]
        reported = [t.key.sequence for t in self.client.triggers[at:]]
        assert reported == list(range(base + 1, self.plc.triggered + 1))

    @invariant()
    def never_for_another_epoch(self):
        assert all(slot.epoch == told for slot, _, told in self.plc.written)

    @invariant()
    def written_is_when_the_plc_acknowledged_the_slot(self):
        acknowledged = {at_ns + MS // 4 for _, at_ns, _ in self.plc.written}
        assert all(at_ns in acknowledged for *_, told in self.submitted for written, at_ns in told if written)

    @invariant()
    def never_twice(self):
        keys = [(slot.epoch, slot.trig_id) for slot, *_ in self.plc.written]
        assert len(keys) == len(set(keys))

    @invariant()
    def never_after_the_deadline(self):
        for slot, at_ns, _ in self.plc.written:
            # A slot equal to another part's can't be told apart here, so the latest deadline of all its twins counts.
            assert at_ns < max(deadline for asked, deadline, _ in self.submitted if asked == slot)

    @invariant()
    def sync_is_only_claimed_for_the_epoch_last_read(self):
        assert all(echo == told for sync, echo, told in self.plc.vouched if sync)

    @invariant()
    def sync_is_never_claimed_before_the_connection_proved_itself(self):
        assert self.plc.promised_unproven == 0

    @invariant()
    def written_is_true_only_for_what_was_written(self):
        on_plc = {slot for slot, *_ in self.plc.written}
        for slot, _, told in self.submitted:
            assert len(told) <= 1
            if told and told[0][0]:
                assert slot in on_plc

    @invariant()
    def triggers_never_repeat(self):
        keys = [t.key for t in self.client.triggers]
        assert len(keys) == len(set(keys))

    def teardown(self):
        self.link.stop()


LinkMachine.TestCase.settings = hypothesis_settings(max_examples=100, stateful_step_count=50, deadline=None)
TestLinkStates = LinkMachine.TestCase
