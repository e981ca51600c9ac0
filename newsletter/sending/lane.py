"""One connection to one relay: the chain of messages that goes over it.

1. hand in the body of the message before, with the envelope of the next right behind it
2. read what came of the one, and whether the other may follow
3. have both written in one transaction: the outcome, and the intent that checks everything again
4. only if the row is still ours does its body leave, with the next envelope behind it

Between 3 and the reply read in the next 2 lies the one moment that a crash leaves in doubt.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from newsletter.broadcasts.ledger import Outcome
from newsletter.broadcasts.models import DeliveryState
from newsletter.broadcasts.offers import Conclusion, Intent
from newsletter.core import logs
from newsletter.core.errors import NewsletterError
from newsletter.core.failpoints import failpoint
from newsletter.core.tokens import TokenKeys
from newsletter.mail.address import Address
from newsletter.mail.replies import Reply
from newsletter.mail.smtp import GO_AHEAD, Envelope, Exchange, SmtpFault
from newsletter.rendering.message import personalise
from newsletter.sending import outcomes
from newsletter.sending.committer import Committer, Standing
from newsletter.sending.courses import Course, Work
from newsletter.sending.feed import Feed
from newsletter.sending.transport import Connection, Transport

IDLE_SECONDS = 4
"""A connection without work is kept this long: shorter than any server's patience."""

log = logs.get(__name__)


class Port(Protocol):
    """What a lane asks and tells about its relay; shared by the lanes to it."""

    @property
    def transport(self) -> Transport: ...

    def may_offer(self) -> bool:
        """Use up one right to send, if there is one now."""
        ...

    async def wait_for_right(self) -> None:
        """Return when it is worth asking `may_offer` again."""
        ...

    def postponed_seconds(self, work: Work) -> float:
        """How long this row is to wait because its domain asked us to slow down; 0: offer it."""
        ...

    def worn_out(self, messages: int) -> bool:
        """A connection that carried so many messages is to be closed."""
        ...

    def heard(self, work: Work, reply: Reply, messages: int) -> bool:
        """Learn from a reply about `work`; False when this connection should end."""
        ...

    def failed(self, fault: SmtpFault) -> None:
        """A connection could not be opened, or was lost."""
        ...


@dataclass(frozen=True, slots=True)
class _Offer:
    """A message on its way: made, not yet concluded."""

    work: Work
    wire: bytes
    envelope: Envelope

    @property
    def id(self) -> int:
        return self.work.row.delivery_id


@dataclass(slots=True, eq=False)
class Lane:
    """One connection; `run` ends when it is closed, for whatever reason."""

    port: Port
    feed: Feed
    committer: Committer
    keys: TokenKeys
    retry_after_seconds: Sequence[int]
    judge: Callable[[Course, Reply], None]
    """Told of every full reply: a mail that everybody refuses is to be stopped."""
    _parting: bool = False
    _connection: Connection | None = None
    _body: _Offer | None = None
    """Announced and let through: its body goes out in the next round."""
    _unwritten: list[tuple[Work, Outcome]] = field(default_factory=list)
    _holding: set[Work] = field(default_factory=set)
    """Rows taken from the feed that it has not heard of again."""
    _messages: int = 0

    @property
    def is_opening(self) -> bool:
        return self._connection is None

    def part(self) -> None:
        """Take no more work; what is on the wire gets its outcome."""
        self._parting = True

    def abort(self) -> None:
        """Hang up: a reply that has not come by now is in doubt."""
        if self._connection:
            self._connection.abort()

    async def run(self) -> None:
        """Open, chain messages until there is no more work, close."""
        try:
            connection = self._connection = await self.port.transport.connect()
        except SmtpFault as fault:
            self.port.failed(fault)
            return
        try:
            while await self._round(connection):
                pass
        except BaseException:
            # A defect of ours. What was announced ends in doubt with its lease, the rest is free.
            connection.abort()
            self.feed.abandon(self._holding)
            raise
        await connection.close()

    async def _round(self, connection: Connection) -> bool:
        """One exchange and what follows from it; False when this connection is to be closed."""
        offer = await self._next()
        if self._body is None and offer is None:
            await self._write(None)
            return await self._more_to_do()
        body, self._body = self._body, None
        if body:
            asyncio.get_running_loop().call_soon(_dot_has_left)
        exchange = await connection.exchange(
            body.wire if body else None, offer.envelope if offer else None
        )
        if body:
            failpoint("after_250")
            self._conclude(body, exchange)
        if exchange.fault:
            self.port.failed(exchange.fault)
            self._parting = True
        if offer and exchange.go_ahead:
            return await self._announce(connection, offer, exchange.go_ahead)
        if offer:
            fault = exchange.fault
            nobodys = bool(body and not exchange.verdict) or (fault and fault.pipelining_broken)
            self._not_answered(offer.work, is_nobodys_fault=bool(nobodys))
        if self._parting:
            await self._write(None)
        return not self._parting

    async def _next(self) -> _Offer | None:
        """The next message, made; None when there is none, or none may be offered now."""
        if self._is_spent() or not len(self.feed) or not self.port.may_offer():
            return None
        while (work := self.feed.take()) is not None:
            self._holding.add(work)
            seconds = self.port.postponed_seconds(work)
            if seconds:
                self._holding.discard(work)
                self.feed.postpone(work, seconds)
                continue
            try:
                return self._made(work)
            except NewsletterError as error:
                await self._fail(work, error)
        return None

    def _made(self, work: Work) -> _Offer:
        recipient, number = work.row.recipient, work.row.delivery_id
        address = Address.stored(recipient.address, recipient.address_key)
        wire = personalise(work.mail, recipient, number, self.keys)
        envelope = Envelope(
            work.mail.envelope_sender,
            address.envelope,
            smtputf8=address.needs_smtputf8,
            size=len(wire),
            envid=str(number),
        )
        return _Offer(work, wire, envelope)

    async def _fail(self, work: Work, error: NewsletterError) -> None:
        """A message that cannot be made fails, and only that one."""
        number = work.row.delivery_id
        log.warning("delivery.unrenderable", delivery_id=number, error=str(error))
        standing = await self._write(work)
        if standing is Standing.OURS:
            failed = Outcome(number, DeliveryState.FAILED, "cannot be rendered")
            self._unwritten.append((work, failed))
        else:
            self._not_ours(work, standing)

    async def _more_to_do(self) -> bool:
        """Wait for work, or for the right to offer it."""
        if self._is_spent():
            return False
        if len(self.feed):
            await self.port.wait_for_right()
            return True
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                await self.feed.filled.wait()
        except TimeoutError:
            return False
        return True

    def _is_spent(self) -> bool:
        return self._parting or self.port.worn_out(self._messages)

    def _conclude(self, body: _Offer, exchange: Exchange) -> None:
        """What came of the message whose body was handed in."""
        self._messages += 1
        work = body.work
        if exchange.verdict:
            self._heard(work, exchange.verdict)
        elif exchange.ambiguous:
            self._unwritten.append((work, outcomes.in_doubt(work.row.delivery_id)))
        else:
            reply = exchange.fault.reply if exchange.fault else None
            self._unwritten.append((work, outcomes.given_back(work.row.delivery_id, reply)))

    def _heard(self, work: Work, reply: Reply) -> None:
        """A full reply about this row: its outcome, and what the relay meant by it."""
        row = work.row
        outcome = outcomes.outcome_of(
            row.delivery_id, reply, row.attempt + 1, self.retry_after_seconds
        )
        self._unwritten.append((work, outcome))
        self.judge(work.course, reply)
        if not self.port.heard(work, reply, self._messages):
            self._parting = True

    async def _announce(self, connection: Connection, offer: _Offer, go_ahead: Reply) -> bool:
        """The relay has answered the envelope: may the body follow, by the ledger too?"""
        let_through = go_ahead.code == GO_AHEAD
        standing = await self._write(None if self._parting else offer.work)
        if standing is Standing.OURS:
            if let_through:
                failpoint("after_intent")
                self._body = offer  # announced: it goes out, even when we are to part
                return True
            self._heard(offer.work, go_ahead)
            if self._parting:
                await self._write(None)
            return not self._parting
        self._not_ours(offer.work, standing)
        if let_through:
            # After 354 there is no RSET, it would be body text: hang up without the dot.
            connection.abort()
        return not (self._parting or let_through)

    def _not_ours(self, work: Work, standing: Standing | None) -> None:
        if standing is None:
            self._put_back(work)
            return
        if standing is Standing.LEFT:
            self._conclude_work(work)
            self.feed.drop(work.course, work.token)
        else:
            self.feed.discard(work.course)
            self._put_back(work)

    async def _write(self, announced: Work | None) -> Standing | None:
        """Have the outcomes so far written, and this row's intent; None when there is none."""
        if announced is None and not self._unwritten:
            return None
        written, self._unwritten = self._unwritten, []
        intent, broadcast_id = None, 0
        if announced:
            number, broadcast_id = announced.row.delivery_id, announced.course.broadcast_id
            intent = Intent(number, announced.token, self.port.transport.name)
        conclusions = [
            Conclusion(work.token, outcome, work.row.recipient.address_key)
            for work, outcome in written
        ]
        standing = await self.committer.post(conclusions, intent, broadcast_id)
        for work, _ in written:
            self._conclude_work(work)
        return standing if announced else None

    def _not_answered(self, work: Work, *, is_nobodys_fault: bool) -> None:
        """The connection ended before the envelope was answered."""
        if is_nobodys_fault:
            self._put_back(work)
            return
        # Perhaps it is this very recipient at whom the relay hangs up: others first.
        self._holding.discard(work)
        self.feed.postpone(work, outcomes.RELAY_PAUSE_SECONDS)

    def _put_back(self, work: Work) -> None:
        self._holding.discard(work)
        self.feed.put_back(work)

    def _conclude_work(self, work: Work) -> None:
        self._holding.discard(work)
        self.feed.conclude(work)


def _dot_has_left() -> None:
    """Runs behind the write of a body, before its reply can be read."""
    failpoint("after_dot")
