"""Readers of a furnished installation: how they came, what is known of them, who left and why."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import time_machine
from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.core.db import Sessions
from newsletter.core.erasure_key import ErasureKey
from newsletter.mail.address import Address
from subscribers import lists, segments, subscriptions, suppressions
from subscribers.evidence import Evidence
from subscribers.models import (
    ConsentEvent,
    LeaveReason,
    SubscriberList,
    Subscription,
    Suppression,
    SuppressionReason,
    TrackingConsent,
)

TODAY = datetime(2026, 6, 17, 9, 30, tzinfo=UTC)
"""A Wednesday; the installation was furnished in the months before."""

_WHO = """
Ada Byron, Blaise Pascal, Marie Curie, Edsger Dijkstra, Emmy Noether,
Frances Allen, Grace Hopper, Hedy Lamarr, Ida Rhodes, Joan Clarke,
Katherine Johnson, Leslie Lamport, Mary Keller, Niklaus Wirth, Ole-Johan Dahl,
Peter Naur, Radia Perlman, Sophie Germain, Tony Hoare, Ursula Martin,
Vera Rubin, Wilhelmina Fleming, Yuri Matiyasevich, Zuse Konrad, Annie Easley,
Barbara Liskov, Carla Meninsky, Dana Ulery, Evelyn Boyd, Fran Bilas,
Gladys West, Henrietta Leavitt, Irene Greif, Jean Sammet, Kathleen Booth,
Lois Haibt, Margaret Hamilton, Nathaniel Rochester, Olga Ladyzhenskaya, Pat Selinger,
Ruth Teitelbaum, Stephanie Shirley, Thelma Estrin, Kristen Nygaard, Virginia Tucker,
Winifred Asprey
"""
NAMES = tuple(name.strip() for name in _WHO.split(","))
DOMAINS = ("example.org", "example.com", "mail.example", "post.example")
LOCALES = ("en-GB", "en", "de", "fr", "pl")
ZONES = ("Europe/London", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "")
_PAGE = "https://news.example.org/s/readers"
_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_WORDING = "I would like to receive Field Notes every Wednesday. I can leave at any time."
_CONSENTS = (TrackingConsent.GRANTED, TrackingConsent.UNKNOWN, TrackingConsent.DENIED)


@contextmanager
def days_ago(days: float) -> Iterator[datetime]:
    """The installation lives through that day."""
    moment = TODAY - timedelta(days=days)
    with time_machine.travel(moment, tick=False):
        yield moment


def address_of(number: int) -> str:
    name = NAMES[number].lower().replace(" ", ".")
    return f"{name}@{DOMAINS[number % len(DOMAINS)]}"


def people(sessions: Sessions, newsletter_id: int, erased: ErasureKey) -> dict[str, int]:
    """Three lists, the readers on them, segments and suppressions; ids by path parameter."""
    with days_ago(150), sessions.writing() as session:
        readers = lists.create_list(session, "Readers", newsletter_id)
        readers.wording = _WORDING
        readers.fields = [{"key": "company", "label": "Company", "required": False}]
        evenings = lists.create_list(session, "Evening edition", newsletter_id)
        lists.create_list(session, "Board", newsletter_id).is_public = False
    for number in range(len(NAMES)):
        with days_ago(140 - 2.7 * number), sessions.writing() as session:
            _joins(session, number, readers.id)
            if number % 3 == 0:
                _joins(session, number, evenings.id)
    _leavings(sessions, newsletter_id)
    with days_ago(9), sessions.writing() as session:
        (person_id,) = session.scalars(
            select(Subscription.subscriber_id).where(Subscription.list_id == readers.id).limit(1)
        )
        saved = _segments(session, session.get_one(SubscriberList, readers.id))
        _suppressions(session, readers.id, erased)
        of_list = select(Suppression.id).where(Suppression.list_id == readers.id)
        suppressed = session.scalars(of_list).one()
    found = {"list_id": readers.id, "subscriber_id": person_id, "segment_id": saved}
    return {**found, "suppression_id": suppressed}


def _joins(session: Session, number: int, list_id: int) -> None:
    to = session.get_one(SubscriberList, list_id)
    person = subscriptions.ensure_subscriber(session, Address.parse(address_of(number)))
    person.name = NAMES[number] if number % 5 else ""
    person.locale = LOCALES[number % len(LOCALES)]
    person.time_zone = ZONES[number % len(ZONES)]
    person.attributes = {"plan": "pro" if number % 4 == 0 else "free", "tags": _tags(number)}
    if number % 2:
        imported = Evidence("import", f"readers-2026.csv:{number + 2}", "Asked for at the fair.")
        subscription = subscriptions.subscribe(session, person, to, imported)
    else:
        filled_in = Evidence("form", _PAGE, _WORDING, "readers: page", "192.0.2.7", _AGENT)
        subscription = subscriptions.request(session, person, to, filled_in)
        if number % 14:
            subscriptions.confirm(session, subscription, Evidence("confirmation", _PAGE))
    consent = _CONSENTS[number % len(_CONSENTS)]
    said = Evidence("page", form="preferences: mail", ip="192.0.2.7", user_agent=_AGENT)
    subscriptions.set_tracking_consent(session, subscription, consent, said)


def _tags(number: int) -> list[str]:
    return [tag for every, tag in ((3, "press"), (7, "founder")) if number % every == 0]


def _leavings(sessions: Sessions, newsletter_id: int) -> None:
    by_mail = Evidence("one-click", "mail of 10 June", user_agent=_AGENT, ip="198.51.100.4")
    for number, reason in ((5, LeaveReason.TOO_OFTEN), (11, LeaveReason.OTHER), (17, None)):
        with days_ago(6.5 - number / 10), sessions.writing() as session:
            person = subscriptions.find_subscriber(session, Address.parse(address_of(number)))
            assert person
            subscriptions.leave(session, person.id, newsletter_id, by_mail)
            left = session.scalars(
                select(ConsentEvent)
                .where(ConsentEvent.subscriber_id == person.id)
                .order_by(ConsentEvent.id.desc())
            ).first()
            assert left
            left.reason = reason
            left.remark = "I read it on the web now." if reason is LeaveReason.OTHER else ""


def _segments(session: Session, readers: SubscriberList) -> int:
    texts = {
        "Paying": 'status = active and attributes.plan = "pro"',
        "Away": "tracking = granted and not opened_within(90d)",
        "Press": 'tag = "press" or domain = "post.example"',
    }
    made = [segments.save(session, readers, name, text) for name, text in texts.items()]
    return made[0].id


def _suppressions(session: Session, list_id: int, erased: ErasureKey) -> None:
    reasons = SuppressionReason
    rows: Sequence[tuple[str, SuppressionReason, str, int]] = (
        (address_of(8), reasons.GONE, "550 5.1.1 no such user", 0),
        (address_of(20), reasons.COMPLAINT, "complaint of 3 June", 0),
        ("@competitor.example", reasons.MANUAL, "asked for by their office", 0),
        (address_of(26), reasons.MANUAL, "asked for by telephone", list_id),
        (suppressions.erased_suppression(erased, "x@example.org"), reasons.ERASED, "erasure", 0),
    )
    for key, reason, source, on_list in rows:
        suppressions.suppress(session, key, reason=reason, source=source, list_id=on_list)
