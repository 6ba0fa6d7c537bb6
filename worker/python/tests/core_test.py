"""What a worker in Python decides is what mnemo-worker decides."""

import os
import re
import unittest
from types import SimpleNamespace

from mnemo_worker import errors, wire
from mnemo_worker.core import (DIALING, ENDED, GREETING, JOINING, LEAVING, MAX_LEASES, NEXT_STATE, PREPARING, WORKING, Core)

HEADER = os.path.join(os.path.dirname(__file__), "../../program/worker_core.h")
SIZE = 10


def received(kind, **fields):
    envelope = wire.Envelope()
    body = getattr(envelope, kind)
    body.SetInParent()
    for name, value in fields.items():
        setattr(body, name, value)
    return SimpleNamespace(message=envelope)


def lease(epoch, round_id, version, kind=wire.TRAIN_ROUND):
    made = received("lease", epoch=epoch, begin=0, n=2)
    round_ = made.message.lease.round
    round_.id, round_.step, round_.n_tasks, round_.kind = round_id, version, 9, kind
    return made


class Rig:
    def __init__(self, **options):
        self.core = Core(now=0, patience_s=600, jitter=lambda: 1.0, **options)
        self.core.theta_size = SIZE
        self.now = 0.0
        self.todo = []

    def step(self, event, what=None, **more):
        self.todo = self.core.step(self.now, event, what, **more)

    def hear(self, kind, **fields):
        self.step("message", received(kind, **fields))

    def tick_when_due(self):
        self.now = max(self.now, self.core.wake())
        self.step("tick")

    def did(self):
        return [action.text if action.kind == "say" else action.kind for action in self.todo if action.kind != "log"]

    def work(self):
        self.step("tick")
        self.hear("welcome", run_id=7, heartbeat_ms=1000, silence_ms=5000)
        self.step("built")
        self.hear("theta", version=3, n=SIZE)
        return self


class CoreTest(unittest.TestCase):
    def test_the_table_is_that_of_the_worker_in_c(self):
        words = {"dial due": "due", "WELCOME": "welcome", "THETA": "theta", "REJECT": "rejected", "VISIT": "visit"}
        table = {state: {} for state in NEXT_STATE}
        with open(HEADER, encoding="utf-8") as file:
            lines = [line[3:].rstrip() for line in file]
        head = next(i for i, line in enumerate(lines) if "DIALING" in line and "GREETING" in line)
        starts = [match.start() for match in re.finditer(r"[A-Z]+", lines[head])]
        states = lines[head].split()
        for line in lines[head + 1:]:
            if not line.strip():
                break
            name = line[:starts[0]].strip()
            for match in re.finditer(r"[A-Z]{4,}", line[starts[0]:]):
                column = max(i for i, start in enumerate(starts) if start <= match.start() + starts[0])
                table[states[column].lower()][words.get(name, name)] = match.group().lower()
        self.assertGreater(sum(map(len, table.values())), 35)
        self.assertEqual(table, NEXT_STATE)

    def test_a_door_sends_a_worker_to_a_run_and_takes_it_back_when_its_turn_is_over(self):
        rig = Rig()
        rig.step("tick")
        rig.hear("visit", endpoint="tcp://127.0.0.1:7", for_ms=4000)
        self.assertEqual((rig.core.state, rig.core.away, rig.did()), (DIALING, "tcp://127.0.0.1:7", ["hang up"]))
        rig.work()
        self.assertEqual(rig.core.state, WORKING)
        rig.now += 4.5
        rig.step("tick")
        self.assertEqual((rig.core.state, rig.did()[:2]), (LEAVING, ["LEAVE", "HEARTBEAT"]))
        rig.hear("pulse")
        self.assertEqual((rig.core.state, rig.core.away, rig.core.visits, rig.core.refused), (DIALING, "", 1, False))
        rig.step("tick")
        self.assertEqual([(action.kind, action.text) for action in rig.todo[:2]], [("dial", ""), ("say", "HELLO")])

    def test_nothing_where_it_was_sent_ends_a_worker_but_a_signal(self):
        for kind, fields in (("reject", {"reason": "no"}), ("finished", {"resumes": False}), ("visit", {"endpoint": "tcp://x:1"})):
            rig = Rig()
            rig.step("tick")
            rig.hear("visit", endpoint="tcp://127.0.0.1:7", for_ms=4000)
            rig.step("tick")
            rig.hear(kind, **fields)
            self.assertEqual((rig.core.state, rig.core.away, rig.core.refused), (DIALING, "", kind == "reject"))
        rig = Rig()
        rig.step("tick")
        rig.hear("visit", endpoint="tcp://127.0.0.1:7", for_ms=4000)
        rig.work()
        rig.step("quit")
        rig.hear("pulse")
        self.assertEqual(rig.core.state, ENDED)

    def test_a_door_without_a_run_is_waited_for(self):
        rig = Rig()
        rig.step("tick")
        rig.hear("visit", for_ms=60000)
        rig.now += 50
        rig.step("tick")
        self.assertEqual((rig.core.state, rig.core.away), (GREETING, ""))

    def test_a_worker_greets_compares_joins_and_works(self):
        rig = Rig()
        rig.step("tick")
        self.assertEqual(rig.did(), ["dial", "HELLO"])
        rig.hear("welcome", run_id=7, heartbeat_ms=1000, silence_ms=5000)
        self.assertEqual(rig.did(), ["build"])
        rig.now = 1.0
        rig.step("tick")
        self.assertEqual(rig.did(), ["HEARTBEAT"])
        rig.step("built")
        self.assertEqual((rig.did(), rig.core.state), (["JOIN"], JOINING))
        rig.hear("theta", version=3, n=SIZE)
        self.assertEqual((rig.did(), rig.core.state), (["theta"], WORKING))
        rig.step("message", lease(5, 1, 3))
        self.assertEqual(rig.did(), ["submit"])
        rig.step("message", lease(5, 1, 3))  # told again
        self.assertEqual(rig.did(), [])
        rig.step("result", 5)
        self.assertEqual(rig.did(), ["send result"])
        rig.step("result", 5)
        self.assertEqual(rig.did(), ["drop result"])

    def test_a_lease_of_another_round_makes_those_in_hand_void(self):
        rig = Rig().work()
        rig.step("message", lease(5, 1, 3))
        rig.step("message", lease(6, 2, 3))
        self.assertEqual(rig.did(), ["clear", "submit"])
        rig.step("result", 5)
        self.assertEqual(rig.did(), ["drop result"])

    def test_two_thetas_are_in_hand_and_leases_of_older_ones_are_forgotten(self):
        rig = Rig().work()
        rig.step("message", lease(5, 1, 3))
        rig.hear("theta", version=4, n=SIZE)
        self.assertEqual((rig.core.versions, list(rig.core.leases)), ([3, 4], [5]))
        rig.hear("theta", version=5, n=SIZE)
        self.assertEqual((rig.core.versions, list(rig.core.leases)), ([4, 5], []))
        rig.hear("theta", version=5, n=SIZE)
        self.assertEqual(rig.core.versions, [4, 5])

    def test_what_makes_no_sense_is_dialed_anew(self):
        for make in (lambda rig: rig.step("message", lease(5, 1, 99)), lambda rig: rig.hear("theta", version=4, n=SIZE + 1),
                     lambda rig: rig.hear("hello"), lambda rig: rig.step("nonsense", text="x")):
            rig = Rig().work()
            make(rig)
            self.assertEqual((rig.did()[-1], rig.core.state), ("hang up", DIALING))
            rig.tick_when_due()
            self.assertEqual(rig.did(), ["dial", "HELLO"])
        rig = Rig().work()
        for epoch in range(MAX_LEASES + 1):
            rig.step("message", lease(epoch + 1, 1, 3))
        self.assertEqual((rig.did(), rig.core.state), (["clear", "hang up"], DIALING))

    def test_a_coordinator_that_falls_silent_or_stops_is_looked_for_again(self):
        rig = Rig().work()
        while rig.core.state == WORKING:
            rig.tick_when_due()
        self.assertEqual((rig.core.state, rig.now), (DIALING, 5.0))
        rig = Rig().work()
        rig.hear("finished", reason="stopped by SIGTERM", resumes=True)
        self.assertEqual(rig.core.state, DIALING)
        rig = Rig().work()
        rig.hear("register_again")
        self.assertEqual((rig.core.state, rig.did()), (GREETING, ["HELLO"]))

    def test_pauses_grow_and_patience_ends(self):
        rig = Rig()
        rig.step("tick")
        pauses = []
        while rig.core.state != ENDED:
            if rig.core.state == GREETING:
                rig.step("lost")
                pauses.append(rig.core.due - rig.now)
            else:
                rig.tick_when_due()
        self.assertEqual([round(p, 3) for p in pauses[:7]], [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5])
        self.assertEqual((rig.todo[-1].kind, rig.todo[-1].code), ("end", errors.UNAVAILABLE))
        self.assertGreaterEqual(rig.now, 600)

    def test_what_is_over_refused_or_cannot_be_ends(self):
        for make, code in ((lambda rig: rig.hear("finished"), 0), (lambda rig: rig.hear("reject", reason="no"), errors.PROTOCOL)):
            rig = Rig().work()
            make(rig)
            self.assertEqual((rig.todo[-1].kind, rig.todo[-1].code), ("end", code))
            rig.step("tick")
            self.assertEqual(rig.todo, [])
        rig = Rig()
        rig.step("tick")
        rig.step("dial failed", code=errors.PERMISSION, text="no key")
        self.assertEqual((rig.todo[-1].text, rig.todo[-1].code), ("no key", errors.PERMISSION))
        rig = Rig(once=True)
        rig.step("tick")
        rig.step("lost")
        self.assertEqual(rig.core.state, ENDED)
        rig = Rig()
        rig.step("tick")
        rig.hear("welcome", run_id=7, heartbeat_ms=1000, silence_ms=5000)
        self.assertEqual(rig.core.state, PREPARING)
        rig.step("not built", code=errors.CONFIG, text="no")
        self.assertEqual(rig.did(), ["LEAVE", "end"])

    def test_who_is_asked_to_go_says_so_and_waits_a_moment_for_the_answer(self):
        rig = Rig().work()
        rig.step("message", lease(5, 1, 3))
        rig.step("quit")
        self.assertEqual((rig.did(), rig.core.state), (["clear", "LEAVE", "HEARTBEAT"], LEAVING))
        rig.hear("pulse")
        self.assertEqual((rig.todo[-1].code, rig.core.state), (0, ENDED))
        rig = Rig().work()
        rig.step("quit")
        rig.tick_when_due()
        self.assertEqual((rig.now, rig.core.state), (1.0, ENDED))


if __name__ == "__main__":
    unittest.main()
