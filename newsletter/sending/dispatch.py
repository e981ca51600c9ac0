"""The send loop: claim, announce, offer, record. No transaction is open during SMTP.

1. claim up to 100 due rows under one fencing token
2. for each row: commit the outcome of the row before together with this row's intent
3. only if the intent came back: offer the message, and remember what came of it
4. at the end, for whatever reason: record the last outcome and give back what was never offered

So a kill at any moment leaves at most one row per connection that nobody can know about.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from sqlalchemy.orm import Session

from newsletter.broadcasts import accounting, control, freezing, ledger
from newsletter.broadcasts.ledger import Claim, Claimed, Outcome
from newsletter.broadcasts.models import Broadcast, BroadcastState, DeliveryState
from newsletter.broadcasts.planning import frozen_content
from newsletter.core import logs
from newsletter.core.db import Sessions
from newsletter.core.errors import NewsletterError
from newsletter.core.failpoints import failpoint
from newsletter.core.runtime import Runtime
from newsletter.mail.address import Address
from newsletter.mail.replies import suppresses
from newsletter.rendering.compiled import WireForm
from newsletter.rendering.message import PreparedMail, personalise, prepare
from newsletter.sending import outcomes
from newsletter.sending.transport import (
    Connection,
    Envelope,
    NoReplyError,
    RelayFaultError,
    Transport,
)
from subscribers import audience, suppressions
from subscribers.models import SuppressionReason
from subscribers.recipient import Recipient

CLAIM_ROWS = 100
SLICE_SECONDS = 30

log = logs.get(__name__)


def deliver_slice(
    runtime: Runtime,
    transport: Transport,
    broadcast_id: int,
    *,
    stop: Callable[[], bool] = lambda: False,
    seconds: float = SLICE_SECONDS,
) -> bool:
    """Send what is due over one connection until it is empty, time is up or `stop` says so.

    Freezes the audience first if that is not finished. A second caller at the same time does no
    harm: it claims other rows.

    Returns:
        True when more is due now.
    """
    freezing.freeze(runtime.sessions, broadcast_id, runtime.settings.tracking.unknown)
    with runtime.sessions.reading() as session:
        broadcast = session.get(Broadcast, broadcast_id)
        if broadcast is None or broadcast.state is not BroadcastState.SENDING:
            return False
    return _Slice(runtime, transport, broadcast_id, stop, time.monotonic() + seconds).run()


@dataclass
class _Slice:
    """One connection's work on one broadcast."""

    runtime: Runtime
    transport: Transport
    broadcast_id: int
    stop: Callable[[], bool]
    until: float
    connection: Connection | None = None
    fault: RelayFaultError | None = None
    leased_at: float = 0.0

    def run(self) -> bool:
        try:
            while not self._over():
                claim = self._claim()
                if not claim.rows:
                    self._finish()
                    return False
                self._work(claim)
        finally:
            if self.connection:
                self.connection.close()
        if self.fault:
            self._relay_failed(self.fault)
        return self.fault is None

    def _over(self) -> bool:
        return self.fault is not None or self.stop() or time.monotonic() > self.until

    def _claim(self) -> Claim:
        self.leased_at = time.monotonic()
        with self.runtime.sessions.writing() as session:
            claim = ledger.claim(
                session, self.broadcast_id, limit=CLAIM_ROWS, lease_seconds=self._lease_seconds
            )
        if claim.rows:
            failpoint("after_claim")
        return claim

    def _work(self, claim: Claim) -> None:
        recipients = self._recipients(claim)
        outcome: Outcome | None = None
        try:
            for row in claim.rows:
                connection = self._connected()
                if connection is None or self._over():
                    break
                intended = self._commit(claim, outcome, row)
                outcome = None
                if intended:
                    failpoint("after_intent")
                    outcome = self._offer(connection, row, recipients[row.delivery_id])
        finally:
            self._close(claim, outcome)

    def _recipients(self, claim: Claim) -> Mapping[int, Recipient]:
        """By delivery id. The frozen address is mailed, whatever the subscriber's is by now."""
        with self.runtime.sessions.reading() as session:
            people = audience.recipients(session, [row.subscriber_id for row in claim.rows])
        return {
            row.delivery_id: replace(
                people.get(row.subscriber_id, Recipient(row.subscriber_id, "", "")),
                address=row.address,
                address_key=row.address_key,
            )
            for row in claim.rows
        }

    def _connected(self) -> Connection | None:
        if self.connection is None and self.fault is None:
            try:
                self.connection = self.transport.connect()
            except RelayFaultError as fault:
                self.fault = fault
        return self.connection

    def _commit(self, claim: Claim, outcome: Outcome | None, row: Claimed) -> bool:
        """Record the last outcome and announce the next offer in one transaction."""
        with self.runtime.sessions.writing() as session:
            self._record(session, claim, outcome)
            self._renew(session, claim)
            intended = ledger.intend(
                session,
                self.broadcast_id,
                claim,
                row.delivery_id,
                relay=self.transport.name,
                lease_seconds=self._lease_seconds,
            )
            if not intended:
                ledger.skip_unmailable(session, self.broadcast_id, claim, row.delivery_id)
            failpoint("inside_commit")
            return intended

    def _renew(self, session: Session, claim: Claim) -> None:
        """Keep the rest of the claim while the relay is slow; a fast one needs it never."""
        if time.monotonic() - self.leased_at > self._lease_seconds / 4:
            ledger.renew(session, claim, lease_seconds=self._lease_seconds)
            self.leased_at = time.monotonic()

    def _offer(self, connection: Connection, row: Claimed, recipient: Recipient) -> Outcome:
        keys, retries = self.runtime.keys, self.runtime.settings.delivery.retry_after_seconds
        mail = prepared_mail(self.runtime.sessions, self.broadcast_id, row.wire_form)
        try:
            wire = personalise(mail, recipient, row.delivery_id, keys)
            reply = connection.send(_envelope(mail, recipient), wire)
            failpoint("after_250")
        except RelayFaultError as fault:
            self.fault = fault
            return outcomes.given_back(row.delivery_id, fault.reply)
        except NoReplyError:
            self.connection = None
            return outcomes.in_doubt(row.delivery_id)
        except NewsletterError as error:
            log.warning("delivery.unrenderable", delivery_id=row.delivery_id, error=str(error))
            return Outcome(row.delivery_id, DeliveryState.FAILED, "cannot be rendered")
        return outcomes.outcome_of(row.delivery_id, reply, row.attempt + 1, retries)

    def _close(self, claim: Claim, outcome: Outcome | None) -> None:
        with self.runtime.sessions.writing() as session:
            self._record(session, claim, outcome)
            ledger.release(session, claim)

    def _record(self, session: Session, claim: Claim, outcome: Outcome | None) -> None:
        if outcome is None or not ledger.record(session, claim.token, outcome):
            return
        if outcome.reply and suppresses(outcome.reply):
            key = next(r.address_key for r in claim.rows if r.delivery_id == outcome.delivery_id)
            source = f"delivery {outcome.delivery_id}"
            suppressions.suppress(session, key, reason=SuppressionReason.GONE, source=source)

    def _finish(self) -> None:
        with self.runtime.sessions.writing() as session:
            accounting.finish(session, self.broadcast_id)

    def _relay_failed(self, fault: RelayFaultError) -> None:
        """Our own mistake stops the broadcast for an editor to see; all else is tried again."""
        log.warning("relay.fault", broadcast_id=self.broadcast_id, fault=str(fault))
        if fault.is_configuration:
            with self.runtime.sessions.writing() as session:
                if control.find_broadcast(session, self.broadcast_id).state is _SENDING:
                    control.pause(session, self.broadcast_id, str(fault))

    @property
    def _lease_seconds(self) -> int:
        return self.runtime.settings.delivery.lease_seconds


_SENDING = BroadcastState.SENDING


@lru_cache(maxsize=16)
def prepared_mail(sessions: Sessions, broadcast_id: int, form: WireForm) -> PreparedMail:
    """One wire form of a broadcast, prepared once per process; frozen content never changes."""
    with sessions.reading() as session:
        return prepare(frozen_content(session, broadcast_id), form)


def _envelope(mail: PreparedMail, recipient: Recipient) -> Envelope:
    address = Address.stored(recipient.address, recipient.address_key)
    return Envelope(mail.envelope_sender, address.envelope, smtputf8=address.needs_smtputf8)
