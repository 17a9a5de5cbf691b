"""The link thread against a real PLC process: frozen, killed, restarted, refusing, torn."""

from __future__ import annotations

import dataclasses
import threading
import time

from linegate.inspect.plc.registers import Status

FAR = 10_000_000_000


class Answers(list):
    """A done callback that notes what it was told and on which thread."""

    def __call__(self, written, at_ns):
        self.append((written, at_ns, threading.current_thread().name))


def test_triggers_are_reported_once_each_in_order(plcs, links, tools):
    plc = plcs(triggered=40)
    link, client = links(plc)
    told = 0
    for n in (1, 1, 5, 16, 1):
        plc.trigger(n)
        told += n
        tools.eventually(lambda told=told: len(client.triggers) >= told)
    assert client.epochs == [(7, 40)]
    assert client.sequences() == list(range(41, 65))
    assert client.threads == {"linegate-plc"}
    assert all(t.key.epoch == 7 and t.answerable and t.at_ns < t.deadline_ns < t.at_ns + 200e6 for t in client.triggers)
    assert link.alive


def test_the_count_wraps_at_32_bits(plcs, links, tools):
    plc = plcs(triggered=2**32 - 2)
    _link, client = links(plc)
    plc.trigger(4)
    tools.eventually(lambda: len(client.triggers) >= 4)
    assert client.sequences() == [2**32 - 1, 0, 1, 2]


def test_more_parts_than_slots_are_all_told_and_the_old_ones_flagged(plcs, links, tools):
    plc = plcs()
    _link, client = links(plc)
    plc.trigger(700)
    tools.eventually(lambda: len(client.triggers) >= 700)
    assert client.sequences() == list(range(1, 701))
    first = client.triggers[:256]
    assert not any(t.answerable for t in first)
    assert all(t.deadline_ns == t.at_ns for t in first)
    plc.trigger(20)
    tools.eventually(lambda: len(client.triggers) >= 720)
    assert [t.answerable for t in client.triggers[700:]] == [False] * 4 + [True] * 16


def test_a_slot_is_on_the_plc_when_done_says_so(plcs, links, tools):
    plc = plcs()
    # Polls so rarely that only the wake-up can explain a prompt write.
    link, client = links(plc, poll_ms=100)
    plc.trigger()
    tools.eventually(lambda: client.triggers)
    answers = Answers()
    link.submit(tools.ok_slot(1), time.monotonic_ns() + FAR, answers)
    tools.eventually(lambda: answers)
    seen = plc.look()
    assert answers[0][0] is True
    assert answers[0][2] == "linegate-plc"
    assert seen.registers[24:32] == [7, 1, 1, 0xFFFE, 0, 12, 9, 1]
    assert tools.passes(seen.registers, seen.p, 1, heartbeat_age_ms=0) == (True, [])
    assert link.status().written == 1


def test_refused_late_foreign_future_old_and_second(plcs, links, tools):
    plc = plcs()
    link, client = links(plc)
    plc.trigger(20)
    tools.eventually(lambda: len(client.triggers) == 20)
    now = time.monotonic_ns()
    cases = {
        "late": (tools.ok_slot(20), now - 1),
        "foreign epoch": (tools.ok_slot(20, epoch=6), now + FAR),
        "not counted yet": (tools.ok_slot(21), now + FAR),
        "slot belongs to a newer part": (tools.ok_slot(4), now + FAR),
    }
    for name, (slot, deadline) in cases.items():
        answers = Answers()
        link.submit(slot, deadline, answers)
        tools.eventually(lambda answers=answers: answers)
        assert answers[0][0] is False, name
    assert plc.look().writes == []
    first, second = Answers(), Answers()
    link.submit(tools.ok_slot(20, verdict=3), now + FAR, first)
    link.submit(tools.ok_slot(20, verdict=1), now + FAR, second)
    tools.eventually(lambda: first and second)
    assert (first[0][0], second[0][0]) == (True, False)
    assert [w["words"][2] for w in plc.look().writes] == [3]


def test_heartbeat_moves_with_the_line_and_stops_with_it(plcs, links, tools):
    plc = plcs()
    _link, client = links(plc)
    begin = plc.look()
    tools.eventually(lambda: plc.look().registers[0] >= begin.registers[0] + 4)
    end = plc.look()
    # +1 every 50 ms, neither more nor (but for one beat at either end) less.
    assert abs((end.registers[0] - begin.registers[0]) - (end.ns - begin.ns) / 50e6) <= 2
    client.said = dataclasses.replace(client.said, alive=False)
    blocks = client.blocks
    tools.eventually(lambda: client.blocks > blocks + 2)
    stopped = plc.look().registers[0]
    blocks = client.blocks
    tools.eventually(lambda: client.blocks > blocks + 100)  # at least 200 ms: four beats would be due
    assert plc.look().registers[0] == stopped
    client.said = dataclasses.replace(client.said, alive=True)
    tools.eventually(lambda: plc.look().registers[0] != stopped)


def test_a_raising_line_stops_the_heartbeat_and_clears_the_bits(plcs, links, tools):
    plc = plcs()

    class Broken(tools.Recorder):
        def on_triggers(self, triggers, block):
            raise RuntimeError("out of memory")

    link, client = links(plc, client=Broken())
    tools.eventually(lambda: plc.look().registers[2] == int(tools.ALL_OK))
    plc.trigger()
    tools.eventually(lambda: "out of memory" in link.status().detail)
    tools.eventually(lambda: plc.look().registers[2] == 0)
    stopped, blocks = plc.look().registers[0], client.blocks
    tools.eventually(lambda: client.blocks > blocks + 100)
    assert plc.look().registers[0] == stopped


def test_sync_is_withheld_until_the_epoch_is_known(plcs, links, tools):
    plc = plcs(epoch=99)
    _link, client = links(plc, wait=False)
    tools.eventually(lambda: client.links)
    tools.eventually(lambda: plc.look().registers[2] == int(tools.ALL_OK))
    assert plc.look().registers[5] == 99
    # A block that contradicts itself: nothing is believed, nothing vouched for.
    plc.set(torn=10**9)
    tools.eventually(lambda: client.links[-1][0] is False)
    assert "low word" in client.links[-1][1]
    assert plc.look().registers[2] & 2 == 0
    plc.set(torn=0)
    tools.eventually(lambda: client.links[-1][0] is True)
    tools.eventually(lambda: plc.look().registers[2] & 2)


def test_one_torn_read_costs_nothing(plcs, links, tools):
    plc = plcs()
    _link, client = links(plc)
    plc.set(torn=2)  # the answer to this shows the first
    plc.trigger(3)
    tools.eventually(lambda: len(client.triggers) == 3)
    assert [up for up, _ in client.links] == [True]


def test_a_count_that_falls_without_a_new_epoch_takes_the_link_down(plcs, links, tools):
    plc = plcs(triggered=1000)
    link, client = links(plc)
    plc.set(triggered=3)
    tools.eventually(lambda: client.links[-1][0] is False)
    assert "without a new epoch" in client.links[-1][1]
    answers = Answers()
    link.submit(tools.ok_slot(3), time.monotonic_ns() + FAR, answers)
    tools.eventually(lambda: answers)
    assert answers[0][0] is False
    assert plc.look().writes == []
    plc.set(epoch=8)
    tools.eventually(lambda: client.links[-1][0] is True)
    assert client.epochs == [(7, 1000), (8, 3)]


def test_a_new_epoch_waits_until_its_counters_are_cleared(plcs, links, tools):
    plc = plcs(triggered=1000)
    link, client = links(plc)
    plc.set(epoch=8)  # and the counters a few scans later
    tools.eventually(lambda: client.links[-1][0] is False)
    assert "epoch 8" in link.status().detail
    answers = Answers()
    link.submit(tools.ok_slot(1000, epoch=8), time.monotonic_ns() + FAR, answers)
    tools.eventually(lambda: answers)
    assert answers[0][0] is False
    assert plc.look().registers[2] & 2 == 0
    plc.set(triggered=0)
    tools.eventually(lambda: client.links[-1][0] is True)
    plc.trigger()
    tools.eventually(lambda: client.triggers)
    assert client.epochs == [(7, 1000), (8, 0)]
    assert [(t.key.epoch, t.key.sequence) for t in client.triggers] == [(8, 1)]


def test_a_life_that_ended_before_its_count_had_settled_is_told_too(plcs, links, tools):
    plc = plcs(triggered=2)
    _link, client = links(plc)
    plc.set(epoch=8, triggered=5, rejected=1)
    tools.eventually(lambda: client.links[-1][0] is False)
    plc.set(epoch=9, triggered=0, rejected=0)
    tools.eventually(lambda: client.links[-1][0] is True)
    assert client.epochs == [(7, 2), (8, 5), (9, 0)]


def test_it_knows_until_when_the_plc_had_reason_to_doubt(plcs, links, tools):
    plc = plcs()
    link, client = links(plc)

    def blocks(n):
        seen = client.blocks
        tools.eventually(lambda: client.blocks > seen + n)

    blocks(5)
    sure_since = link.doubt_ns
    blocks(20)
    assert link.doubt_ns == sure_since < client.last.read_ns
    for said in (
        dataclasses.replace(client.said, status=tools.ALL_OK & ~Status.LOG_OK),
        dataclasses.replace(client.said, alive=False),
    ):
        before, good = link.doubt_ns, client.said
        client.said = said
        tools.eventually(lambda before=before: link.doubt_ns > before)
        client.said = good
        blocks(5)
        sure_since = link.doubt_ns
        blocks(20)
        assert link.doubt_ns == sure_since
    plc.set(
        torn=2
    )  # the answer to this shows the first; one block is not believed, and the next exchange does not vouch
    tools.eventually(lambda: link.doubt_ns > sure_since)


def test_plc_heartbeat_frozen_while_modbus_answers(plcs, links, tools):
    plc = plcs()
    link, client = links(plc)
    plc.set(beating=False)
    tools.eventually(lambda: client.links[-1][0] is False)
    assert "stood still" in client.links[-1][1]
    tools.eventually(lambda: plc.look().registers[2] & 2 == 0)
    plc.trigger()
    answers = Answers()
    link.submit(tools.ok_slot(1), time.monotonic_ns() + FAR, answers)
    tools.eventually(lambda: answers)
    assert answers[0][0] is False
    plc.set(beating=True)
    tools.eventually(lambda: client.links[-1][0] is True)
    assert client.sequences() == [1]


def test_frozen_process_discards_the_queue_and_replays_nothing(plcs, links, tools):
    plc = plcs()
    link, client = links(plc, timeout_ms=60)
    plc.trigger(3)
    tools.eventually(lambda: len(client.triggers) == 3)
    plc.freeze()
    answers = Answers()
    for part in (1, 2, 3):
        link.submit(tools.ok_slot(part), time.monotonic_ns() + FAR, answers)
    tools.eventually(lambda: len(answers) == 3)
    assert [written for written, *_ in answers] == [False] * 3
    tools.eventually(lambda: client.links[-1][0] is False)
    refused = Answers()
    link.submit(tools.ok_slot(3), time.monotonic_ns() + FAR, refused)
    tools.eventually(lambda: refused)
    plc.thaw()
    tools.eventually(lambda: client.links[-1][0] is True)
    plc.trigger(2)
    tools.eventually(lambda: len(client.triggers) == 5)
    assert client.sequences() == [1, 2, 3, 4, 5]
    assert client.epochs == [(7, 0)]
    # What the frozen PLC still had in its buffer it may carry out, once; nothing comes from us again.
    addresses = [w["address"] for w in plc.look().writes]
    assert len(addresses) == len(set(addresses)) <= 1
    assert link.status().lost >= 1
    assert link.status().reconnects >= 1


def test_parts_counted_during_an_outage_need_a_row_and_get_no_picture(plcs, links, tools):
    plc = plcs()
    _link, client = links(plc, timeout_ms=60)
    plc.trigger()
    tools.eventually(lambda: client.triggers)
    plc.set(refuse={"23": 6})
    tools.eventually(lambda: client.links[-1][0] is False)
    plc.trigger(4)
    plc.set(refuse={})
    tools.eventually(lambda: len(client.triggers) == 5)
    assert [t.answerable for t in client.triggers] == [True] + [False] * 4
    plc.trigger()
    tools.eventually(lambda: len(client.triggers) == 6)
    assert client.triggers[-1].answerable


def test_killed_and_restarted_with_a_new_epoch(plcs, links, tools):
    plc = plcs(triggered=100)
    link, client = links(plc)
    plc.kill()
    tools.eventually(lambda: client.links[-1][0] is False)
    again = plcs(port=plc.port, epoch=8)
    tools.eventually(lambda: client.links[-1][0] is True)
    assert client.epochs == [(7, 100), (8, 0)]
    again.trigger()
    tools.eventually(lambda: client.triggers)
    assert [(t.key.epoch, t.key.sequence) for t in client.triggers] == [(8, 1)]
    answers = Answers()
    link.submit(tools.ok_slot(1, epoch=7), time.monotonic_ns() + FAR, answers)
    link.submit(tools.ok_slot(1, epoch=8), time.monotonic_ns() + FAR, answers)
    tools.eventually(lambda: len(answers) == 2)
    assert [written for written, *_ in answers] == [False, True]
    seen = again.look()
    assert tools.passes(seen.registers, seen.p, 1, 0) == (True, [])


def test_it_starts_before_the_plc_and_says_so(plcs, links, tools):
    plc = plcs()
    port = plc.port
    plc.kill()
    link, client = links(plc, wait=False)
    tools.eventually(lambda: client.links)
    assert client.links == [(False, client.links[0][1])]
    assert "no connection" in client.links[0][1]
    plcs(port=port)
    tools.eventually(lambda: link.status().up)


def test_stop_withdraws_every_promise(plcs, links, tools):
    plc = plcs()
    link, client = links(plc)
    tools.eventually(lambda: plc.look().registers[2] == int(tools.ALL_OK))
    link.stop()
    assert plc.look().registers[1:3] == [0, 0]
    assert client.links[-1] == (False, "stopped")
    assert not link.alive
    late = Answers()
    link.submit(tools.ok_slot(1), time.monotonic_ns() + FAR, late)
    assert [written for written, *_ in late] == [False]
