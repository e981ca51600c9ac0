"""Named points at which a test ends or stops this process; without the variable they do nothing.

`NEWSLETTER_FAILPOINT=after_dot:20` kills the process the twentieth time it passes `after_dot`,
as `kill -9` would: no handler runs, no buffer is flushed. `after_dot:20:stop` stops it instead
(SIGSTOP), until somebody sends SIGCONT.
"""

import os
import signal
import threading
from dataclasses import dataclass, field

VARIABLE = "NEWSLETTER_FAILPOINT"
NAMES = ("after_claim", "after_intent", "after_dot", "after_250", "inside_commit")


@dataclass
class _Armed:
    """One point that is to end this process, and how often it has been passed."""

    name: str
    passage: int
    number: signal.Signals
    passed: int = 0
    turn: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def parse(cls, text: str) -> "_Armed | None":
        """`name[:nth[:stop]]`; an unknown name fails the start, or the test would test nothing."""
        if not text:
            return None
        name, nth, how = (*text.split(":"), "", "")[:3]
        if name not in NAMES or not (nth or "1").isdecimal() or how not in ("", "stop"):
            raise ValueError(f"{VARIABLE}: expected NAME[:NTH[:stop]] with one of {NAMES}")
        return cls(name, int(nth or 1), signal.SIGSTOP if how else signal.SIGKILL)

    def reached(self) -> None:
        with self.turn:
            self.passed += 1
            if self.passed == self.passage:
                os.kill(os.getpid(), self.number)


_ARMED = _Armed.parse(os.environ.get(VARIABLE, ""))


def failpoint(name: str) -> None:
    """Pass the point `name`."""
    if _ARMED is not None and _ARMED.name == name:
        _ARMED.reached()
