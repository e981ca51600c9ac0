"""The feed: rows claimed ahead for the connections of a process, of all broadcasts at work in turn.

Claims are small (at most 100 rows, about three seconds of work), so that a process that dies holds
little, and memory stays flat whatever the size of the list.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from typing import Any

from newsletter.broadcasts import claims, control
from newsletter.broadcasts.claims import Claim, Claimed
from newsletter.broadcasts.models import PauseReason
from newsletter.broadcasts.planning import frozen_content
from newsletter.core import logs
from newsletter.core.db import DATABASE_AWAY, Sessions
from newsletter.core.errors import NewsletterError
from newsletter.core.failpoints import failpoint
from newsletter.rendering.compiled import WireForm
from newsletter.rendering.message import PreparedMail, prepare
from newsletter.sending.courses import Course, Work
from newsletter.sending.in_thread import InThread
from newsletter.sending.pace import Pace
from newsletter.sending.signing import Keyring

_RETRY_SECONDS = 0.5

log = logs.get(__name__)


class Feed:
    """Rows to be offered next; lives on the event loop, claims in a thread beside it."""

    def __init__(
        self,
        sessions: Sessions,
        lease_seconds: int,
        live: set[int],
        keyring: Keyring,
        in_thread: InThread,
    ) -> None:
        """`live` are the tokens of claims with rows at work: the committer renews their leases."""
        self.filled = asyncio.Event()
        self.on_filled: Callable[[], None] = lambda: None
        self._sessions = sessions
        self._lease_seconds = lease_seconds
        self._live = live
        self._keyring = keyring
        self._in_thread = in_thread
        self._ready: deque[Work] = deque()
        self._courses: deque[Course] = deque()
        self._left: dict[int, int] = {}
        self._closed = False
        self._claiming: asyncio.Task[None] | None = None
        self._settling: set[asyncio.Future[None]] = set()
        self._pace = Pace()

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, broadcast_id: int, seconds: float) -> Course:
        """Work on this broadcast from now on, claiming for so many seconds."""
        course = Course(broadcast_id, time.monotonic() + seconds)
        if self._closed:
            course.close(more=True)
            return course
        if not self._left:
            self._pace.begin(time.monotonic())
        self._courses.append(course)
        self._refill()
        return course

    def take(self) -> Work | None:
        """The next row to offer; None when none is ready now: wait for `filled`."""
        work = self._ready.popleft() if self._ready else None
        if not self._ready:
            self.filled.clear()
        self._refill()
        return work

    def put_back(self, work: Work) -> None:
        """It was not offered: whoever comes next takes it."""
        self._ready.appendleft(work)
        if work.course.discarded:
            self._give_back([work])
            return
        self._fill()

    def conclude(self, work: Work) -> None:
        """The row's outcome is written, or it is not ours any more."""
        self._pace.count(time.monotonic())
        self._forget(work)

    def discard(self, course: Course) -> None:
        """The broadcast was paused or the relay is gone: what is on no connection is given back."""
        course.discarded = True
        course.close(more=False)
        self._give_back([work for work in self._ready if work.course is course])

    def abandon(self, works: Collection[Work]) -> None:
        """Whoever had them is gone: what was not announced is given back."""
        self._give_back(list(works))

    def drop(self, course: Course, token: int) -> None:
        """Some people of this claim left meanwhile: claim the rest again without them."""
        self._give_back([w for w in self._ready if w.course is course and w.token == token])

    def suspend(self) -> None:
        """No relay takes mail now: the next sweep will ask again."""
        for course in tuple(self._courses):
            self.discard(course)

    def postpone(self, work: Work, seconds: float) -> None:
        """Its domain asked us to slow down: the row is due again after so long."""
        postponed = asyncio.ensure_future(
            self._quietly(self._postponed, work.row.delivery_id, work.token, seconds)
        )
        self._settling.add(postponed)
        postponed.add_done_callback(self._settling.discard)
        postponed.add_done_callback(lambda _: self._forget(work))

    async def given_back(self) -> None:
        """Return when all that was given back is written."""
        while self._settling or self._claiming:
            waited = [*self._settling, *([self._claiming] if self._claiming else [])]
            await asyncio.wait(waited)

    def close(self) -> None:
        """Claim nothing more and give back what is on no connection."""
        self._closed = True
        for course in tuple(self._courses):
            course.discarded = True
            course.close(more=True)
        self._give_back(list(self._ready))

    def _give_back(self, works: list[Work]) -> None:
        if not works:
            return
        dropped = set(map(id, works))
        self._ready = deque(work for work in self._ready if id(work) not in dropped)
        if not self._ready:
            self.filled.clear()
        released = asyncio.ensure_future(self._quietly(self._released, works))
        self._settling.add(released)
        released.add_done_callback(self._settling.discard)
        released.add_done_callback(lambda _: self._freed(works))

    async def _quietly(self, write: Callable[..., None], *arguments: Any) -> None:
        """A database that is away loses nothing: the leases will end."""
        try:
            await self._in_thread(write, *arguments)
        except DATABASE_AWAY as error:
            log.warning("ledger.away", error=type(error).__name__)

    def _released(self, works: list[Work]) -> None:
        by_token: dict[int, list[int]] = {}
        for work in works:
            by_token.setdefault(work.token, []).append(work.row.delivery_id)
        with self._sessions.writing() as session:
            for token, ids in by_token.items():
                claims.release(session, token, ids)

    def _postponed(self, delivery_id: int, token: int, seconds: float) -> None:
        with self._sessions.writing() as session:
            claims.postpone(session, delivery_id, token, seconds)

    def _freed(self, works: Iterable[Work]) -> None:
        """They are pending again: a course that thought it was at its end is not."""
        for work in works:
            work.course.closed = work.course.discarded
            self._forget(work)
        self._refill()

    def _forget(self, work: Work) -> None:
        self._left[work.token] -= 1
        if not self._left[work.token]:
            del self._left[work.token]
            self._live.discard(work.token)
        work.course.at_work -= 1
        work.course.settle()
        if work.course.done.is_set():
            self._leave(work.course)

    def _leave(self, course: Course) -> None:
        if course in self._courses:
            self._courses.remove(course)

    def _refill(self) -> None:
        """Claim for the next broadcast in turn while the last claim is being worked off."""
        if self._claiming is None and len(self._ready) <= self._pace.rows // 2:
            course = self._next_course()
            if course:
                self._claiming = asyncio.ensure_future(self._claim(course))

    def _next_course(self) -> Course | None:
        for course in tuple(self._courses):
            self._courses.rotate(-1)
            if not course.closed and time.monotonic() > course.until:
                course.close(more=True)
            if course.done.is_set():
                self._leave(course)
            elif not course.closed:
                return course
        return None

    async def _claim(self, course: Course) -> None:
        try:
            works = await self._in_thread(self._claimed, course, self._pace.rows)
        except DATABASE_AWAY as error:
            log.warning("ledger.away", error=type(error).__name__)
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            self._took(course, works)
        finally:
            self._claiming = None
        self._refill()

    def _took(self, course: Course, works: list[Work]) -> None:
        course.at_work += len(works)
        for work in works:
            self._left[work.token] = self._left.get(work.token, 0) + 1
        self._live.update(work.token for work in works)
        if course.discarded:
            self._give_back(works)
            return
        if not works:
            course.close(more=False)
            if course.done.is_set():
                self._leave(course)
            return
        self._ready.extend(works)
        self._fill()

    def _fill(self) -> None:
        self.filled.set()
        self.on_filled()

    def _claimed(self, course: Course, limit: int) -> list[Work]:
        """In a thread: claim, and drop who left meanwhile."""
        number = course.broadcast_id
        while True:
            with self._sessions.at_once() as connection:
                claim = claims.claim(
                    connection, number, limit=limit, lease_seconds=self._lease_seconds
                )
            if not claim.rows:
                return []
            failpoint("after_claim")
            mailable = [row for row in claim.rows if row.may_be_mailed]
            if len(mailable) < len(claim.rows):
                with self._sessions.writing() as session:
                    left = claims.skip_unmailable(session, number, claim.token)
                mailable = [row for row in claim.rows if row.delivery_id not in left]
            if mailable:
                return self._works(course, claim, mailable)

    def _works(self, course: Course, claim: Claim, rows: list[Claimed]) -> list[Work]:
        try:
            mails = {form: self._mail(course, form) for form in {row.wire_form for row in rows}}
        except NewsletterError as error:
            self._unsendable(course, claim, error)
            return []
        return [Work(course, claim.token, row, mails[row.wire_form]) for row in rows]

    def _mail(self, course: Course, form: WireForm) -> PreparedMail:
        return prepared_mail(self._sessions, course.broadcast_id, form, self._keyring)

    def _unsendable(self, course: Course, claim: Claim, error: NewsletterError) -> None:
        """What was frozen cannot be made into a mail: nobody's fault but ours, nobody fails."""
        with self._sessions.writing() as session:
            control.halt(session, course.broadcast_id, PauseReason.HEALTH, error.sentence)
            claims.release(session, claim.token, [row.delivery_id for row in claim.rows])


@lru_cache(maxsize=16)
def prepared_mail(
    sessions: Sessions, broadcast_id: int, form: WireForm, keyring: Keyring
) -> PreparedMail:
    """One wire form of a broadcast, prepared once per process; frozen content never changes."""
    with sessions.reading() as session:
        frozen = frozen_content(session, broadcast_id)
    return prepare(frozen, form, keyring.signers(frozen.identity))
