"""What a worker does next: (state, event, now) -> actions. No socket, clock, thread or file.

The table is that of worker/program/worker_core.h, which says what each word means; there is one difference in what is
built: the learner is the user's, so it is made once, and what follows WELCOME is to compare it with the run's.
"""

import math
from dataclasses import dataclass, field
from typing import Any, List

from . import errors

DIALING, GREETING, PREPARING, JOINING, WORKING, LEAVING, ENDED = (
    "dialing", "greeting", "preparing", "joining", "working", "leaving", "ended")

_HEARD = {"again": GREETING, "lost": DIALING, "stops": DIALING, "over": ENDED, "rejected": ENDED, "home": DIALING}
_JOINED = {**_HEARD, "quit": LEAVING, "turn over": LEAVING}
NEXT_STATE = {
    DIALING: {"due": GREETING, "quit": ENDED, "give up": ENDED, "home": DIALING},
    GREETING: {**_HEARD, "welcome": PREPARING, "quit": ENDED, "give up": ENDED, "visit": DIALING},
    PREPARING: {**_JOINED, "built": JOINING, "not built": ENDED},
    JOINING: {**_JOINED, "theta": WORKING},
    WORKING: {**_JOINED, "theta": WORKING},
    LEAVING: {**dict.fromkeys(("again", "lost", "stops", "over", "rejected", "quit", "answer"), ENDED), "home": DIALING},
    ENDED: {},
}

MAX_LEASES = 16
GREETING_S, VISITING_S, LEAVING_S = 3.0, 1.0, 1.0
MIN_PAUSE_S, MAX_PAUSE_S = 0.1, 5.0


@dataclass
class Action:
    """kind: dial (text: where a sweep's door has sent us, "" for the place that the worker was given), hang up, say (text: HELLO, JOIN, HEARTBEAT, LEAVE), build (what: the WELCOME), theta (what: a received
    THETA), submit (what: a lease), clear, send result, drop result, log (level, text), end (code, text)."""

    kind: str
    text: str = ""
    what: Any = None
    level: str = "info"
    code: int = 0


@dataclass
class Core:
    """patience_s: how long to do without a coordinator; jitter: () -> a number from 0.5 to 1, so that a thousand workers
    do not come back in one instant; once: do not wait for a coordinator that is not there."""

    now: float
    patience_s: float
    jitter: Any
    once: bool = False
    state: str = DIALING
    theta_size: int = 0
    run_id: int = 0
    heartbeat_s: float = 1.0
    silence_s: float = 5.0
    versions: List[int] = field(default_factory=list)  # of theta in hand: at most two
    leases: dict = field(default_factory=dict)  # epoch -> version of theta
    round: int = 0
    away: str = ""  # where a sweep's door has sent us; "": nowhere, or we are back
    turn: float = 0  # away: when to go back
    visits: int = 0  # so often were we away
    refused: bool = False  # from where we were last
    told: int = 0  # the run of which it was told that we work for it

    def __post_init__(self):
        self.heard = self.due = self.now
        self.pause = MIN_PAUSE_S
        self.next_heartbeat = self.now
        self.why, self.why_code = "", 0

    def step(self, now, event, what=None, text="", code=0):
        """One event in, the list of actions out. Events: tick; message (what: wire.Received); nonsense (text); lost;
        dial failed (code, text); built; not built (code, text); result (what: its epoch); quit."""
        todo = []
        if self.state == ENDED:
            return todo
        was_away = bool(self.away)
        self._because(0, "")
        meaning = self._read(now, event, what, text, code, todo)
        if was_away:
            meaning = self._read_away(meaning)
        elif self.once and meaning == "lost" and self.state == GREETING:
            meaning = "give up"
        self._move(now, meaning, what, todo)
        if self.state in (PREPARING, JOINING, WORKING) and now >= self.next_heartbeat:
            todo.append(Action("say", "HEARTBEAT"))
            self.next_heartbeat = now + self.heartbeat_s
        return todo

    def wake(self):
        """When to step again with a tick, if nothing else comes before."""
        if self.state in (DIALING, GREETING):
            return min(self.due, self.heard + self.patience_s)
        if self.state in (PREPARING, JOINING, WORKING):
            return min(self.next_heartbeat, self.heard + self.silence_s, self.turn if self.away else math.inf)
        return self.due

    # ---- the one place that changes the state

    def _move(self, now, meaning, what, todo):
        after = NEXT_STATE[self.state].get(meaning)
        if after is None:
            return
        before, self.state = self.state, after
        if after == DIALING:
            self._drop_leases(todo)
            if meaning == "home":
                self._go_home(now, todo)
                return
            todo.append(Action("hang up"))
            if meaning == "visit":
                self.due = now
                todo.append(Action("log", f"sent to {self.away}", level="debug"))
                return
            patient = before == GREETING and self.pause > 4 * MIN_PAUSE_S
            self.due = now + self._next_pause()
            todo.append(Action("log", f"{before}: {self.why}; dialing again in {self.due - now:.1f} s",
                               level="debug" if patient else "warning"))
        elif after == GREETING:
            if before == DIALING:
                todo.append(Action("dial", self.away))
            else:
                self._drop_leases(todo)
            todo.append(Action("say", "HELLO"))
            self.due = now + (VISITING_S if self.away else GREETING_S)
        elif after == PREPARING:
            welcome = what.message.welcome
            self.run_id = welcome.run_id
            self.heartbeat_s, self.silence_s = welcome.heartbeat_ms / 1000, welcome.silence_ms / 1000
            self.next_heartbeat = now + self.heartbeat_s
            todo.append(Action("build", what=welcome))
        elif after == JOINING:
            self.versions = []
            todo.append(Action("say", "JOIN"))
        elif after == WORKING:
            self.pause = MIN_PAUSE_S
            self._keep_version(what.message.theta.version)
            todo.append(Action("theta", what=what))
            if before == JOINING and (not self.away or self.run_id != self.told):
                todo.append(Action("log", f"working for run {self.run_id:016x}"))
            self.told = self.run_id
        elif after == LEAVING:  # the heartbeat's answer tells that LEAVE was read
            self._drop_leases(todo)
            todo += [Action("say", "LEAVE"), Action("say", "HEARTBEAT")]
            self.due = now + LEAVING_S
        elif after == ENDED:
            self._drop_leases(todo)
            if (before == GREETING and meaning == "quit") or meaning == "not built":
                todo.append(Action("say", "LEAVE"))
            if before == LEAVING:
                todo.append(Action("end", "left on request"))
            else:
                todo.append(Action("end", self.why, code=self.why_code))

    def _go_home(self, now, todo):
        """From a visit to the door that sent us. Where it ended in order, at once."""
        in_order = self.why_code == 0 or self.refused
        if self.refused:
            todo.append(Action("say", "LEAVE"))  # or we would be asked whether we live
        todo.append(Action("hang up"))
        self.due = now if in_order else now + self._next_pause()
        self.away = ""
        todo.append(Action("log", f"back to the sweep: {self.why or 'the turn is over'}",
                           level="warning" if self.refused else "info" if self.why else "debug"))

    def _next_pause(self):
        pause = self.pause * self.jitter()
        self.pause = min(2 * self.pause, MAX_PAUSE_S)
        return pause

    # ---- what an event means

    def _read_away(self, meaning):
        """Away from the door that sent us: nothing there ends us, but a signal."""
        if meaning in ("not built", "rejected", "give up"):
            self.refused = True
            return "home"
        if meaning in ("lost", "stops", "over", "visit") or (meaning in ("again", "answer") and self.state == LEAVING):
            return "home"
        if meaning == "quit":
            self.away = ""  # and there is no way back
        return meaning

    def _because(self, code, text):
        self.why, self.why_code = text, code

    def _read(self, now, event, what, text, code, todo):
        if event == "tick":
            return self._read_time(now)
        if event == "message":
            self.heard = now
            return self._read_message(what, todo)
        if event == "nonsense":
            self._because(errors.PROTOCOL, f"the coordinator said what makes no sense: {text}")
            return "lost"
        if event == "lost":
            self._because(errors.UNAVAILABLE, "the connection to the coordinator broke")
            return "lost"
        if event == "dial failed":  # what is not there yet may come; what is wrong stays so
            self._because(code, text)
            return "lost" if code in (errors.NO_INPUT, errors.UNAVAILABLE, errors.IO) else "give up"
        if event == "not built":
            self._because(code, text)
        elif event == "result":
            wanted = self.leases.pop(what, None) is not None and self.state == WORKING
            todo.append(Action("send result" if wanted else "drop result"))
            return None
        elif event == "quit":
            self._because(0, "asked to stop")
        return event

    def _read_time(self, now):
        silent = now - self.heard
        if self.state in (DIALING, GREETING):
            if silent >= self.patience_s:
                self._because(errors.UNAVAILABLE, f"no coordinator was heard for {silent:.0f} s; is the run still going on? "
                              "(--patience waits longer)")
                return "give up"
            if now < self.due:
                return None
            if self.state == DIALING:
                return "due"
            self._because(errors.UNAVAILABLE, "no answer")
            return "lost"
        if self.state in (PREPARING, JOINING, WORKING):
            if silent < self.silence_s:
                return "turn over" if self.away and now >= self.turn else None
            self._because(errors.UNAVAILABLE, f"the coordinator was silent for {silent:.1f} s")
            return "lost"
        return "answer" if now >= self.due else None

    def _read_message(self, received, todo):
        message = received.message
        kind = message.WhichOneof("body")
        joined = self.state in (JOINING, WORKING)
        if kind == "welcome":
            return "welcome"
        if kind == "reject":
            self._because(errors.PROTOCOL, f"refused by the coordinator: {message.reject.reason}")
            return "rejected"
        if kind == "theta":
            if not joined or message.theta.n == self.theta_size:
                return "theta"
            self._because(errors.PROTOCOL, f"theta of {message.theta.n} numbers, but this learner has {self.theta_size}")
            return "lost"
        if kind == "lease":
            return self._take_lease(message.lease, todo) if joined else None
        if kind == "pulse":
            return "answer"
        if kind == "register_again":
            return "again"
        if kind == "visit":
            return self._take_visit(message.visit)
        if kind == "finished":
            because = f": {message.finished.reason}" if message.finished.reason else ""
            self._because(0, f"the run {'stops' if message.finished.resumes else 'is over'}{because}")
            return "stops" if message.finished.resumes else "over"
        self._because(errors.PROTOCOL, f"the coordinator said {kind.upper()}, which is not for workers")
        return "lost"

    def _take_visit(self, visit):
        if self.away or self.state != GREETING:
            self._because(errors.PROTOCOL, "a run sends us to another; only a sweep's door may")
            return "lost"
        if not visit.endpoint:
            self.due = self.heard + visit.for_ms / 1000 + GREETING_S
            return None
        self.away, self.turn = visit.endpoint, self.heard + visit.for_ms / 1000
        self.refused = False
        self.visits += 1
        return "visit"

    def _take_lease(self, lease, todo):
        if lease.round.step not in self.versions:
            self._because(errors.PROTOCOL, f"a lease of theta {lease.round.step}, which did not come before")
            return "lost"
        if lease.round.id != self.round:  # a round opens when the one before is reduced
            self._drop_leases(todo)
        if lease.epoch in self.leases:
            return None  # told again, as it takes long
        if len(self.leases) == MAX_LEASES:
            self._because(errors.PROTOCOL, f"more than {MAX_LEASES} leases at a time")
            return "lost"
        self.round = lease.round.id
        self.leases[lease.epoch] = lease.round.step
        todo.append(Action("submit", what=lease))
        return None

    # ---- what is in hand

    def _keep_version(self, version):
        """As the bench does: the two that came last, and leases of all others are forgotten."""
        if self.versions and self.versions[-1] == version:
            self.versions.pop()
        self.versions = self.versions[-1:] + [version]
        self.leases = {epoch: of for epoch, of in self.leases.items() if of in self.versions[:-1]}

    def _drop_leases(self, todo):
        if self.leases:
            todo.append(Action("clear"))
        self.leases = {}
