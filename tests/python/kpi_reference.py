"""The KPIs of a day of one service, worked out from the rules as they are written and not from the plugin's code.

A day is a list of slots of 10 s: (valid, bad), or None where nothing came. Every slot with data has the twenty requests
that a verdict needs, and a silence is at least the 30 s after which it is one.
"""

from dataclasses import dataclass, field

SLOT_S = 10
GOOD, DEGRADED, BAD, SILENT = "good", "degraded", "bad", "silent"


def verdict(slot):
    if slot is None:
        return SILENT
    valid, bad = slot
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

    def take(self, start, found):
        if found == SILENT:
            return
        end = start + SLOT_S
        if found == GOOD:
            self.calm += SLOT_S
            if self.calm >= 30:
                self.onset = None
            self.failing = self.bad = 0
            if self.open:
                self.good += SLOT_S
                if self.good >= 300:
                    self.closed.append(self.open)
                    self.open = None
            return
        self.calm = 0
        self.onset = start if self.onset is None else self.onset
        self.failing += SLOT_S
        self.bad = self.bad + SLOT_S if found == BAD else 0
        if self.open:
            self.open.flaps += self.good > 0
            if self.bad >= 60:
                self.open.kind = "down"
            self.open.mitigated = end
        elif self.bad >= 60 or self.failing >= 300:
            onset = max(self.onset, end - 3600)
            self.open = Incident(onset, end, "down" if self.bad >= 60 else "degraded", mitigated=end)
        self.good = 0


def kpis(slots, maintenance):
    """The sums of the day, and its incidents: (started, detected, mitigated, kind, flaps, planned)."""

    def is_planned(second):
        return any(start <= second < end for start, end in maintenance)

    machine = Machine()
    seconds = dict.fromkeys((GOOD, DEGRADED, BAD, SILENT, "maintenance"), 0)
    valid = bad = 0
    for number, slot in enumerate(slots):
        start = number * SLOT_S
        found = verdict(slot)
        machine.take(start, found)
        seconds["maintenance" if is_planned(start) else found] += SLOT_S
        if slot and not is_planned(start):
            valid, bad = valid + slot[0], bad + slot[1]
    incidents = [
        (one.started, one.detected, one.mitigated, one.kind, one.flaps, is_planned(one.started))
        for one in machine.closed
    ]
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
        "ttd_sum_s": sum(one[1] - one[0] for one in counted),
        "ttr_sum_s": sum(one[2] - one[0] for one in counted),
        "ttr_n": len(counted),
        "mtbf_s": up / len(counted) if counted else None,
    }
    return day, sorted(incidents)
