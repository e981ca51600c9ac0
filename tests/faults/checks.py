"""The invariants: what the fault server's log and the ledger must say together after a run."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_TERMINAL = frozenset({"accepted", "failed", "skipped", "in_doubt"})
_ROUNDING = 1e-6
_WITH_A_REASON = frozenset({"failed", "skipped", "in_doubt"})


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One delivery as the ledger has it in the end."""

    address: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that is judged.

    Attributes:
        recipients: who is on the list.
        accepted: at the fault servers, in order, one entry per message taken.
        shown: `newsletter broadcasts show --json`; empty when it could not be had.
        bound: how many rows in doubt the fault allows.
        history_lost: the ledger was replaced by an older one, which cannot agree with the log.
    """

    recipients: Sequence[str]
    accepted: Sequence[str]
    ledger: Sequence[LedgerRow]
    shown: Mapping[str, Any] = field(default_factory=dict)
    bound: int = 0
    history_lost: bool = False

    def doubled(self) -> list[str]:
        """Addresses that a server took more than one message for."""
        return sorted(who for who, count in Counter(self.accepted).items() if count > 1)

    def lost(self) -> list[str]:
        """Who got nothing and of whom nobody says why, or who is said to have got it and did not.

        A row that still waits is lost as well: the run is over.
        """
        taken = set(self.accepted)
        explained = {r.address for r in self.ledger if r.state in _WITH_A_REASON and r.reason}
        never_sent = set(self.recipients) - taken - explained
        only_said = {r.address for r in self.ledger if r.state == "accepted"} - taken
        return sorted(never_sent | only_said)

    def in_doubt(self) -> int:
        return len(self._in("in_doubt"))

    def violations(self) -> list[str]:
        """Each broken invariant by its number, with how far it is broken and an example."""
        if self.history_lost:
            return [_said("I1 accepted twice", self.doubled())] if self.doubled() else []
        taken = set(self.accepted)
        certain = self._in("accepted")
        broken = {
            "I1 accepted twice": self.doubled(),
            "I2 not terminal": [r.address for r in self.ledger if r.state not in _TERMINAL],
            "I3 accepted, and the ledger does not say so": taken - certain - self._in("in_doubt"),
            "I3 said to be accepted, and was not": certain - taken,
            "I4 accepted, though failed or skipped": taken & self._in("failed", "skipped"),
            "I5 not in the ledger": set(self.recipients) - {r.address for r in self.ledger},
        }
        found = [_said(name, who) for name, who in broken.items() if who]
        return [*found, *self._equation(), *self._doubt()]

    def _equation(self) -> Iterable[str]:
        counted = Counter(row.state for row in self.ledger)
        shown = {state: self.shown.get(state, 0) for state in _TERMINAL}
        if not self.shown:
            yield "I5 the broadcast cannot be shown"
        elif self.shown["gap"] or any(counted[state] != n for state, n in shown.items()):
            yield f"I5 does not add up: {self.shown['accounting']}"

    def _doubt(self) -> Iterable[str]:
        if self.in_doubt() > self.bound:
            yield f"I6 {self.in_doubt()} in doubt, bound {self.bound}"

    def _in(self, *states: str) -> set[str]:
        return {row.address for row in self.ledger if row.state in states}


def read_events(*logs: Path) -> list[dict[str, Any]]:
    """What the fault servers wrote, in the order of time."""
    lines = [line for log in logs if log.exists() for line in log.read_text().splitlines()]
    return sorted((json.loads(line) for line in lines), key=lambda event: float(event["at"]))


def beyond_rate(times: Iterable[float], *, per_second: float, burst: int) -> int:
    """By how many messages a bucket of `burst`, filled at that rate, was ever overdrawn."""
    level, before, lowest = float(burst), None, 0.0
    for at in times:
        gained = (at - before) * per_second if before is not None else 0.0
        level = min(float(burst), level + gained) - 1
        lowest, before = min(lowest, level), at
    return max(0, math.ceil(-lowest - _ROUNDING))


def _said(name: str, who: Iterable[str]) -> str:
    named = sorted(who)
    return f"{name}: {len(named)}, such as {named[0]}"
