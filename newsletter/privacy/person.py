"""Everything that is kept about one person, as one document (GDPR Articles 15 and 20).

The form is a promise to whoever reads such a file: keys are added, and a key that changes its
meaning changes FORMAT. docs/privacy.md lists them.
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.accounts.models import AuditEvent
from newsletter.core.clock import now
from newsletter.core.erasure_key import ErasureKey
from newsletter.core.errors import NotFoundError
from newsletter.issues.models import Newsletter
from newsletter.mail.address import Address
from newsletter.privacy.person_mails import deliveries, events, iso, system_mails
from newsletter.privacy.traces import delivery_ids
from subscribers import suppressions
from subscribers.elsewhere import is_elsewhere
from subscribers.imports.runs.models import ImportLine, ImportRun
from subscribers.lists import slugs_of_lists
from subscribers.models import (
    EVERYWHERE,
    ConsentEvent,
    Engagement,
    Subscriber,
    Subscription,
)

FORMAT = 1

NO_ROW = 0
"""What no subscriber has for a number: by it nothing is found."""


def export(
    session: Session, subscriber_id: int, newsletter_id: int | None = None
) -> dict[str, Any]:
    """One person as JSON: strings, numbers, lists and objects alone; times in ISO 8601, UTC.

    With a newsletter, for who works there: what it has to do with the person and nothing of others;
    of mails about signing up nobody knows whose they were, they are left out. Of somebody whom
    another newsletter knows too, so is what is kept once for all of them.

    Raises:
        NotFoundError: nobody has this id.
    """
    person = session.get(Subscriber, subscriber_id)
    if person is None:
        raise NotFoundError("subscriber", subscriber_id)
    address = Address.stored(person.email, person.address_key)
    of = None if newsletter_id is None else session.get_one(Newsletter, newsletter_id)
    tells_all = of is None or not is_elsewhere(session, person.id, of.id)
    known = _subscriber(person) if tells_all else _address(person.id, address)
    return _document(session, address, known, of, person.id)


def export_address(session: Session, address: Address) -> dict[str, Any]:
    """As `export`, of an address of nobody who is subscribed: of old mails, of suppressions."""
    return _document(session, address, _address(None, address), None)


def _document(
    session: Session,
    address: Address,
    known: dict[str, Any],
    of: Newsletter | None,
    subscriber_id: int = NO_ROW,
) -> dict[str, Any]:
    newsletter_id = of.id if of else None
    slugs = slugs_of_lists(session, newsletter_id)
    mailed = session.scalars(delivery_ids(address.key, newsletter_id)).all()
    return {
        "format": FORMAT,
        "exported_at": iso(now()),
        "newsletter": of.slug if of else None,
        "subscriber": known,
        "subscriptions": _subscriptions(session, subscriber_id, slugs),
        "consent": _consent(session, subscriber_id, slugs),
        "suppressions": suppressions_of(session, address, slugs, None),
        "deliveries": deliveries(session, mailed, slugs),
        "events": events(session, mailed),
        "engagement": engagement_of(session, subscriber_id, newsletter_id),
        "system_mails": [] if of else system_mails(session, address),
        "import_lines": [] if of else _import_lines(session, address),
        "audit": _audit(session, subscriber_id, of, slugs),
    }


def _address(subscriber_id: int | None, address: Address) -> dict[str, Any]:
    return {"id": subscriber_id, "email": address.typed}


def _subscriber(person: Subscriber) -> dict[str, Any]:
    return {
        "id": person.id,
        "email": person.email,
        "name": person.name,
        "locale": person.locale,
        "time_zone": person.time_zone,
        "attributes": person.attributes,
        "created_at": iso(person.created_at),
    }


def _subscriptions(
    session: Session, subscriber_id: int, slugs: dict[int, str]
) -> list[dict[str, Any]]:
    rows = session.scalars(
        select(Subscription)
        .where(Subscription.subscriber_id == subscriber_id, Subscription.list_id.in_(slugs))
        .order_by(Subscription.id)
    )
    return [
        {
            "list": slugs[row.list_id],
            "status": row.status.value,
            "tracking_consent": row.tracking_consent.value,
            "subscribed_at": iso(row.subscribed_at),
            "confirmed_at": iso(row.confirmed_at),
            "unsubscribed_at": iso(row.unsubscribed_at),
            "paused_until": iso(row.paused_until),
            "answers": row.answers,
        }
        for row in rows
    ]


def _consent(session: Session, subscriber_id: int, slugs: dict[int, str]) -> list[dict[str, Any]]:
    rows = session.scalars(
        select(ConsentEvent)
        .where(ConsentEvent.subscriber_id == subscriber_id, ConsentEvent.list_id.in_(slugs))
        .order_by(ConsentEvent.id)
    )
    return [
        {
            "at": iso(row.at),
            "list": slugs[row.list_id],
            "change": row.change.value,
            "method": row.method,
            "source": row.source,
            "form": row.form,
            "ip": row.ip,
            "user_agent": row.user_agent,
            "wording": row.wording,
            "reason": row.reason,
            "remark": row.remark,
        }
        for row in rows
    ]


def suppressions_of(
    session: Session, address: Address, slugs: dict[int, str], erased: ErasureKey | None
) -> list[dict[str, Any]]:
    """What keeps mail from the address, by itself or its domain: for which list, since when.

    Of these lists, and of all.
    """
    return [
        {
            "key": row.key,
            "list": slugs.get(row.list_id, ""),
            "reason": row.reason.value,
            "source": row.source,
            "since": iso(row.created_at),
        }
        for row in suppressions.all_covering(session, address, erased=erased)
        if row.list_id == EVERYWHERE or row.list_id in slugs
    ]


def engagement_of(
    session: Session, subscriber_id: int, newsletter_id: int | None = None
) -> list[dict[str, Any]]:
    """What a reader who agreed to be tracked did last, by newsletter or with one."""
    found = (
        select(Engagement, Newsletter.slug)
        .join(Newsletter, Newsletter.id == Engagement.newsletter_id)
        .where(Engagement.subscriber_id == subscriber_id)
        .order_by(Newsletter.slug)
    )
    if newsletter_id is not None:
        found = found.where(Newsletter.id == newsletter_id)
    rows = session.execute(found)
    return [
        {
            "newsletter": slug,
            "opened_at": iso(row.opened_at),
            "clicked_at": iso(row.clicked_at),
        }
        for row, slug in rows
    ]


def _import_lines(session: Session, address: Address) -> list[dict[str, Any]]:
    """Their rows in files that somebody uploaded, as far as these are still kept."""
    rows = session.execute(
        select(ImportLine, ImportRun.created_at)
        .join(ImportRun, ImportRun.id == ImportLine.run_id)
        .where(ImportLine.address_key == address.key)
        .order_by(ImportLine.id)
    )
    return [
        {
            "at": iso(at),
            "place": row.place,
            "problem": row.problem,
            "cells": row.cells,
            "text": row.text,
        }
        for row, at in rows
    ]


def _audit(
    session: Session, subscriber_id: int, of: Newsletter | None, slugs: dict[int, str]
) -> list[dict[str, Any]]:
    """What was done; by whom is somebody else's data."""
    rows = session.scalars(
        select(AuditEvent).where(AuditEvent.subscriber_id == subscriber_id).order_by(AuditEvent.id)
    )
    return [
        {"at": iso(row.at), "action": row.action, "details": row.details}
        for row in rows
        if of is None or is_about(row, of.slug, slugs.values())
    ]


def is_about(row: AuditEvent, newsletter_slug: str, lists: Collection[str]) -> bool:
    """It was done for this newsletter, or to one of its lists."""
    return (
        row.details.get("newsletter") == newsletter_slug
        or row.details.get("list") in lists
        # For every newsletter, by a command or by who administers them all.
        or not row.details.keys() & {"newsletter", "list"}
    )
