"""The KPIs of a day of one service, worked out from the rules as they are written and not from the plugin's code.

A day is a list of slots of 10 s: (valid, bad, requests by error type), or None where nothing came. Every slot with data has
the twenty requests that a verdict needs, and a silence is at least the 30 s after which it is one.
"""

from collections import Counter
from dataclasses import dataclass, field

SLOT_S = 10
GOOD, DEGRADED, BAD, SILENT = "good", "degraded", "bad", "silent"


def verdict(slot):
    if slot is None:
        return SILENT
    valid, bad, _ = slot
    if bad / valid >= 0.5:
        return BAD
    return DEGRADED if bad / valid >= 0.05 else GOOD


@dataclass
class Incident:
    started: int
    detected: int
    kind: str
    flaps: int = 0
    mitigated: int | None = None
    types: Counter = field(default_factory=Counter)

    @property
    def error_type(self):
        """What most failed of; of several, the first in the alphabet."""
        return min(self.types, key=lambda name: (-self.types[name], name), default=None)


@dataclass
class Machine:
    """From verdicts to incidents. A slot without data changes nothing: all timers stand still."""

    closed: list = field(default_factory=list)
    open: Incident | None = None
    failing: int = 0
    bad: int = 0
    good: int = 0
    # The start of the first failing slot that is reachable without 30 s of GOOD, and how much GOOD lies behind it.
    onset: int | None = None
    calm: int = 0
    # What failed since then, slot by slot.
    types: list = field(default_factory=list)

    def take(self, start, found, types):
        if found == SILENT:
            return
        end = start + SLOT_S
        if found == GOOD:
            self.calm += SLOT_S
            if self.calm >= 30:
                self.onset, self.types = None, []
            self.failing = self.bad = 0
            if self.open:
                self.good += SLOT_S
                if self.good >= 300:
                    self.closed.append(self.open)
                    self.open = None
            return
        self.calm = 0
        self.onset = start if self.onset is None else self.onset
        self.types.append((start, types))
        self.failing += SLOT_S
        self.bad = self.bad + SLOT_S if found == BAD else 0
        if self.open:
            self.open.flaps += self.good > 0
            if self.bad >= 60:
                self.open.kind = "down"
            self.open.mitigated = end
            self.open.types.update(types)
        elif self.bad >= 60 or self.failing >= 300:
            onset = max(self.onset, end - 3600)
            self.open = Incident(onset, end, "down" if self.bad >= 60 else "degraded", mitigated=end)
            for at, of in self.types:
                self.open.types.update(of if at >= onset else {})
        self.good = 0


def kpis(slots, maintenance):
    """The sums of the day, and its incidents: (started, detected, mitigated, kind, flaps, planned, error type, and the start
    of the incident that it is again: one of its kind and error type that was over before; an unplanned one of an unplanned).
    """

    def is_planned(second):
        return any(start <= second < end for start, end in maintenance)

    machine = Machine()
    seconds = dict.fromkeys((GOOD, DEGRADED, BAD, SILENT, "maintenance"), 0)
    valid = bad = 0
    for number, slot in enumerate(slots):
        start = number * SLOT_S
        found = verdict(slot)
        machine.take(start, found, slot[2] if slot else {})
        seconds["maintenance" if is_planned(start) else found] += SLOT_S
        if slot and not is_planned(start):
            valid, bad = valid + slot[0], bad + slot[1]
    incidents, latest = [], {}
    for one in sorted(machine.closed, key=lambda one: one.started):
        like, planned = (one.kind, one.error_type), is_planned(one.started)
        again = None if planned else latest.get(like)
        incidents.append((one.started, one.detected, one.mitigated, one.kind, one.flaps, planned, one.error_type, again))
        if not planned:
            latest[like] = one.started
    counted = [one for one in incidents if not one[5]]
    up = seconds[GOOD] + seconds[DEGRADED]
    day = {
        "ast_s": len(slots) * SLOT_S - seconds["maintenance"],
        "up_s": up,
        "degraded_s": seconds[DEGRADED],
        "down_s": seconds[BAD],
        "unknown_s": seconds[SILENT],
        "maintenance_s": seconds["maintenance"],
        "valid": valid,
        "bad": bad,
        "incidents": len(counted),
        "recurring": sum(one[7] is not None for one in counted),
        "ttd_sum_s": sum(one[1] - one[0] for one in counted),
        "ttr_sum_s": sum(one[2] - one[0] for one in counted),
        "ttr_n": len(counted),
        "mtbf_s": up / len(counted) if counted else None,
    }
    return day, incidents
