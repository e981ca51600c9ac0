"""What a person was sent and what they did with it, as parts of the document about them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.broadcasts.models import Broadcast, Delivery, DeliveryLog
from newsletter.mail.address import Address
from newsletter.privacy.traces import to_them
from newsletter.sending.models import SystemMail
from newsletter.tracking.models import Event


def deliveries(session: Session, ids: Sequence[int], slugs: dict[int, str]) -> list[dict[str, Any]]:
    """Each mail with the issue it carried and what became of it."""
    rows = session.execute(
        select(Delivery, Broadcast)
        .join(Broadcast, Broadcast.id == Delivery.broadcast_id)
        .where(Delivery.id.in_(ids))
        .order_by(Delivery.id)
    )
    return [
        {
            "id": row.id,
            "broadcast": broadcast.id,
            "newsletter": broadcast.issue.newsletter.slug,
            "issue_date": broadcast.issue.date.isoformat(),
            "subject": broadcast.issue.subject,
            "list": slugs.get(row.list_id, ""),
            "address": row.address,
            "tracking": row.wire_form.name.lower(),
            "state": row.state.name.lower(),
            "reason": row.reason,
            "attempts": row.attempt,
            "relay": row.relay,
            "reply_code": row.reply_code,
            "reply_text": " ".join(filter(None, (row.enhanced_code, row.reply_text))),
            "at": iso(row.last_at),
            "log": _log(session, row.id),
        }
        for row, broadcast in rows
    ]


def _log(session: Session, delivery_id: int) -> list[dict[str, Any]]:
    rows = session.scalars(
        select(DeliveryLog).where(DeliveryLog.delivery_id == delivery_id).order_by(DeliveryLog.id)
    )
    return [
        {"at": iso(row.at), "state": row.state.name.lower(), "reason": row.reason} for row in rows
    ]


def events(session: Session, ids: Sequence[int]) -> list[dict[str, Any]]:
    """What was done with these deliveries, with the raw data while it is kept."""
    rows = session.scalars(select(Event).where(Event.delivery_id.in_(ids)).order_by(Event.id))
    return [
        {
            "delivery": row.delivery_id,
            "kind": row.kind.value,
            "link": row.link,
            "at": iso(row.at),
            "hits": row.hits,
            "ip": row.ip,
            "user_agent": row.user_agent,
        }
        for row in rows
    ]


def system_mails(session: Session, address: Address) -> list[dict[str, Any]]:
    """Confirmations and notices in the outbox, by any spelling of the address."""
    rows = session.scalars(select(SystemMail).where(to_them(address)).order_by(SystemMail.id))
    return [
        {
            "kind": row.kind,
            "sender": row.sender,
            "state": row.state.name.lower(),
            "created_at": iso(row.created_at),
        }
        for row in rows
    ]


def iso(moment: datetime | None) -> str | None:
    """A time as the document has it."""
    return moment.isoformat() if moment else None
