"""Test sends: an issue as a subscriber would get it, marked as a test, to whoever is named.

They count nowhere: no broadcast, no delivery, no tracking, and no List-Id is fixed by one.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from email import message_from_bytes, policy

from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer

from newsletter.broadcasts.planning import Plan
from newsletter.core.clock import now
from newsletter.core.runtime import Runtime
from newsletter.mail.address import Address
from newsletter.rendering.compiled import Frozen, WireForm
from newsletter.rendering.message import personalise, prepare
from newsletter.sending import system_mail
from newsletter.sending.models import SystemMail
from newsletter.sending.signing import keyring_of
from subscribers.recipient import Recipient

MARK = "[Test]"
_LOOKED_THROUGH = 10_000


@dataclass(frozen=True, slots=True)
class TrialCopy:
    """One test mail, ready for the outbox."""

    key: str
    sender: str
    to: str
    wire: bytes


def trial_copies(runtime: Runtime, plan: Plan, to: Sequence[Address]) -> list[TrialCopy]:
    """A copy for each address, without tracking; signed here, hence outside of transactions."""
    marked = replace(plan.email, subject=f"{MARK} {plan.email.subject}")
    frozen = Frozen(0, now(), marked, plan.identity)
    mail = prepare(frozen, WireForm.NONE, keyring_of(runtime.settings).signers(plan.identity))
    return [
        TrialCopy(
            f"{_key_of(plan.issue.id)}{secrets.token_hex(8)}",
            mail.envelope_sender,
            address.typed,
            personalise(mail, Recipient(0, address.typed, address.key), 0, runtime.keys),
        )
        for address in to
    ]


def as_read(runtime: Runtime, frozen: Frozen) -> str:
    """The HTML of a broadcast as a reader without a name gets it, links leading straight on."""
    nobody = Recipient(0, frozen.identity.sender_address, frozen.identity.sender_address)
    wire = personalise(prepare(frozen, WireForm.NONE), nobody, 0, runtime.keys)
    mail = message_from_bytes(wire, policy=policy.default)
    body = mail.get_body(("html",))
    assert body is not None, "every mail has HTML"
    return str(body.get_content())


def post(session: Session, copies: Sequence[TrialCopy]) -> None:
    """Put them into the outbox."""
    for copy in copies:
        system_mail.enqueue(
            session,
            key=copy.key,
            kind=system_mail.TEST,
            sender=copy.sender,
            to=copy.to,
            wire=copy.wire,
        )


def latest(
    session: Session, issue_id: int, *, to: str | None = None, most: int = 5
) -> Sequence[SystemMail]:
    """The last test mails of an issue, the latest first; `to`: those to this address alone.

    Looked for among the last system mails only: a page asks again and again.
    """
    last = session.scalar(select(func.max(SystemMail.id))) or 0
    tests = select(SystemMail).where(
        SystemMail.id > last - _LOOKED_THROUGH,
        SystemMail.kind == system_mail.TEST,
        SystemMail.idempotency_key.startswith(_key_of(issue_id), autoescape=True),
    )
    if to is not None:
        tests = tests.where(SystemMail.address == to)
    wanted = tests.order_by(SystemMail.id.desc()).limit(most).options(defer(SystemMail.wire))
    return session.scalars(wanted).all()


def _key_of(issue_id: int) -> str:
    return f"test-{issue_id}-"
