"""The committer: one thread that writes for all connections of a process, a group at a time.

Connections post what came of one offer and announce the next; whatever waits is written in one
transaction, and all are told together. So the ledger costs each message a share of a commit, not a
commit, and a kill leaves at most one announced row per connection.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from sqlalchemy.orm import Session

from newsletter.broadcasts import claims, offers, plain_groups
from newsletter.broadcasts.offers import Conclusion, Intent
from newsletter.core import logs
from newsletter.core.db import DATABASE_AWAY, Sessions
from newsletter.core.express import Express
from newsletter.core.failpoints import failpoint
from newsletter.sending.suppressing import suppress_the_gone

_AIR_SECONDS = 0.001
"""Left to other writers between two groups on SQLite; back to back, a sender starves them."""
_RETRY_SECONDS = 0.5

log = logs.get(__name__)


class Standing(Enum):
    """What an announcement found."""

    OURS = "ours"
    """Offer it."""
    LEFT = "left"
    """The person may not be mailed any more: the row is skipped."""
    FENCED = "fenced"
    """The lease is somebody else's, or the broadcast is not sending."""


@dataclass(slots=True, eq=False)
class _Post:
    """What one connection wants written, and where it waits for the answer."""

    conclusions: tuple[Conclusion, ...]
    intent: Intent | None
    broadcast_id: int
    answer: asyncio.Future[Standing]


@dataclass(slots=True)
class Committer:
    """Writes until stopped; made for one event loop.

    Attributes:
        live: tokens of the claims at work, whose leases it renews by its own timer.
    """

    sessions: Sessions
    lease_seconds: int
    loop: asyncio.AbstractEventLoop
    live: set[int] = field(default_factory=set)
    _waiting: deque[_Post] = field(default_factory=deque)
    _bell: threading.Event = field(default_factory=threading.Event)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _renewed_at: float = 0.0
    _express: Express = field(init=False)

    def __post_init__(self) -> None:
        self._express = Express(self.sessions)

    def start(self) -> None:
        self._renewed_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="committer")
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, then end; blocks until it has."""
        self._stopping.set()
        self._bell.set()
        if self._thread:
            self._thread.join()

    def post(
        self, conclusions: Iterable[Conclusion], intent: Intent | None, broadcast_id: int
    ) -> "asyncio.Future[Standing]":
        """Have it written with the next group; the answer comes after the commit.

        Without an intent the answer is FENCED and means nothing. Called on the event loop.
        """
        answer: asyncio.Future[Standing] = self.loop.create_future()
        self._waiting.append(_Post(tuple(conclusions), intent, broadcast_id, answer))
        self._bell.set()
        return answer

    def _run(self) -> None:
        while True:
            self._bell.wait(self.lease_seconds / 8)
            self._bell.clear()
            self._renew_if_due()
            # The loop goes on posting meanwhile: taken one by one, nothing slips between.
            posts = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if posts:
                self._write(posts)
            elif self._stopping.is_set():
                self._express.close()
                return

    def _write(self, posts: list[_Post]) -> None:
        """One group; a database that is away is tried again until it is back or we are stopped."""
        again = False
        while True:
            try:
                answers = self._written(posts, again=again)
                break
            except DATABASE_AWAY as error:
                # Whether the commit took place may be unknown. Both statements can be repeated.
                again = True
                log.warning("ledger.away", error=type(error).__name__)
                if self._stopping.wait(_RETRY_SECONDS):
                    answers = None
                    break
            except Exception as error:
                log.exception("ledger.refused")
                self.loop.call_soon_threadsafe(_fail, posts, error)
                return
        self.loop.call_soon_threadsafe(_answer, posts, answers)
        if self.sessions.dialect == "sqlite":
            time.sleep(_AIR_SECONDS)

    def _written(self, posts: list[_Post], *, again: bool) -> list[Standing]:
        conclusions = [conclusion for post in posts for conclusion in post.conclusions]
        if not again and all(conclusion.is_plain for conclusion in conclusions):
            return self._at_once(posts, conclusions)
        with self.sessions.writing() as session:
            answers = self._in_transaction(session, posts, conclusions, again=again)
            failpoint("inside_commit")
        return answers

    def _at_once(self, posts: list[_Post], conclusions: list[Conclusion]) -> list[Standing]:
        """What nearly every group is; who was not announced is looked at afterwards."""
        intents = [post.intent for post in posts if post.intent]
        with self._express.transaction():
            ours = plain_groups.write(
                self._express, conclusions, intents, lease_seconds=self.lease_seconds
            )
            failpoint("inside_commit")
        if len(ours) == len(posts):
            return [Standing.OURS] * len(posts)
        with self.sessions.writing() as session:
            return [self._standing(session, post, ours) for post in posts]

    def _in_transaction(
        self,
        session: Session,
        posts: list[_Post],
        conclusions: list[Conclusion],
        *,
        again: bool,
    ) -> list[Standing]:
        if conclusions:
            written = offers.conclude(session, conclusions)
            for conclusion in conclusions:
                if conclusion.outcome.delivery_id in written:
                    suppress_the_gone(session, conclusion.outcome, conclusion.address_key)
        intents = [post.intent for post in posts if post.intent]
        if not intents:
            return [Standing.FENCED] * len(posts)
        ours = offers.announce(session, intents, lease_seconds=self.lease_seconds, again=again)
        return [self._standing(session, post, ours) for post in posts]

    def _standing(self, session: Session, post: _Post, ours: set[int]) -> Standing:
        if post.intent is None:
            return Standing.FENCED
        if post.intent.delivery_id in ours:
            return Standing.OURS
        left = claims.skip_unmailable(session, post.broadcast_id, post.intent.token)
        return Standing.LEFT if post.intent.delivery_id in left else Standing.FENCED

    def _renew_if_due(self) -> None:
        """By its own timer, traffic or not: a slow relay costs no lease."""
        if not self.live or time.monotonic() - self._renewed_at < self.lease_seconds / 4:
            return
        try:
            with self.sessions.writing() as session:
                claims.renew(session, tuple(self.live), lease_seconds=self.lease_seconds)
            self._renewed_at = time.monotonic()
        except DATABASE_AWAY as error:
            log.warning("ledger.away", error=type(error).__name__)


def _answer(posts: list[_Post], answers: list[Standing] | None) -> None:
    for number, post in enumerate(posts):
        if not post.answer.done():
            post.answer.set_result(answers[number] if answers else Standing.FENCED)


def _fail(posts: list[_Post], error: Exception) -> None:
    for post in posts:
        if not post.answer.done():
            post.answer.set_exception(error)
