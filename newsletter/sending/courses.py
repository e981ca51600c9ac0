"""A broadcast at work in this process, and its messages on their way through it."""

import asyncio
from dataclasses import dataclass, field

from newsletter.broadcasts.claims import Claimed
from newsletter.rendering.message import PreparedMail


@dataclass(slots=True, eq=False)
class Course:
    """A broadcast at work in this process.

    Attributes:
        until: on `time.monotonic`'s clock; later nothing more is claimed.
        at_work: rows claimed and not yet concluded.
        closed: nothing more is claimed.
        more: closed before the ledger was empty.
        discarded: closed because none of it can be offered now.
        done: set once it is closed and nothing is at work.
    """

    broadcast_id: int
    until: float
    at_work: int = 0
    closed: bool = False
    more: bool = False
    discarded: bool = False
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def close(self, *, more: bool) -> None:
        self.closed = True
        self.more = self.more or more
        self.settle()

    def settle(self) -> None:
        if self.closed and not self.at_work:
            self.done.set()


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """One recipient's message, to be made and offered."""

    course: Course
    token: int
    row: Claimed
    mail: PreparedMail
