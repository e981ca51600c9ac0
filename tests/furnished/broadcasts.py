"""Broadcasts of a furnished installation: sent ones with readers, and one of each other kind."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from random import Random

from sqlalchemy import select

from newsletter.broadcasts import control, freezing
from newsletter.broadcasts.models import (
    Broadcast,
    BroadcastState,
    Delivery,
    DeliveryLog,
    DeliveryState,
    PauseReason,
    SkipReason,
)
from newsletter.core.db import Sessions
from newsletter.core.sections import TrackingMode
from newsletter.mail.replies import ReplyClass
from newsletter.tracking.models import Event, EventKind
from subscribers.models import SubscriberList
from tests import factories
from tests.furnished import issues
from tests.furnished.people import TODAY, days_ago

_THUNDERBIRD = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.5.0"
_APPLE = "Mozilla/5.0"
_SCANNER = "Example-Gateway link scanner"
_LINKS = 8
_FULL = (452, "4.2.2", "Mailbox full, try again later")
_GONE = (550, "5.1.1", "No such user here")
_BLOCKED = (554, "5.7.1", "Message refused by policy of mail.example")

Outcome = Callable[[int, Delivery], None]


def sent_weeks(sessions: Sessions, list_id: int) -> list[int]:
    """Five issues that went out in the weeks before, with what came back; broadcasts' ids."""
    made = []
    for number in range(5):
        day, text = issues.weekly(number)
        with days_ago((TODAY.date() - day).days) as moment:
            broadcast_id = _frozen(sessions, text, [list_id])
            _settle(sessions, broadcast_id, moment, _mostly_accepted)
            _finish(sessions, broadcast_id, BroadcastState.DONE, moment + timedelta(minutes=3))
            _read(sessions, broadcast_id, Random(number))
        made.append(broadcast_id)
    return made


def one_of_each(sessions: Sessions, list_ids: list[int]) -> list[int]:
    """Under way, in doubt, paused, to come, to be approved, cancelled; broadcasts' ids."""
    readers, evenings, board = list_ids
    day, text = issues.weekly(5)
    with days_ago((TODAY.date() - day).days) as moment:
        in_doubt = _frozen(sessions, text, [readers])
        _settle(sessions, in_doubt, moment, _some_in_doubt)
        _finish(sessions, in_doubt, BroadcastState.DONE, moment + timedelta(minutes=3))
        _read(sessions, in_doubt, Random(5))
        paused = _frozen(sessions, text, [evenings])
        _settle(sessions, paused, moment, _half_way)
        with sessions.writing() as session:
            why = "535 5.7.8 authentication failed"
            control.pause(session, paused, PauseReason.BREAKER, why)
    _, today = issues.weekly(6)
    with days_ago(0.002) as moment:
        under_way = _frozen(sessions, today, [readers])
        _settle(sessions, under_way, moment, _half_way)
        with sessions.writing() as session:
            issue = session.get_one(Broadcast, under_way).issue
            boards, nights = (session.get_one(SubscriberList, i) for i in (board, evenings))
            to_come = factories.scheduled(
                session, issue, [nights], start_at=moment + timedelta(hours=9)
            ).id
            cancelled = factories.scheduled(session, issue, [boards]).id
            control.cancel(session, cancelled)
    return [under_way, in_doubt, paused, to_come, _asked_for(sessions, readers), cancelled]


def _asked_for(sessions: Sessions, list_id: int) -> int:
    """It waits for the approval of somebody else."""
    with days_ago(0.2), sessions.writing() as session:
        issue = issues.store(session, issues.weekly(issues.ASKED_FOR)[1])
        to = session.get_one(SubscriberList, list_id)
        issue.newsletter.wants_approval = True
        broadcast = factories.scheduled(session, issue, [to])
        broadcast.asked_by = "user 3: ines@news.example.org"
        issue.newsletter.wants_approval = False
    return broadcast.id


def _frozen(sessions: Sessions, text: str, list_ids: Iterable[int]) -> int:
    with sessions.writing() as session:
        issue = issues.store(session, text)
        chosen = [session.get_one(SubscriberList, list_id) for list_id in list_ids]
        broadcast = factories.scheduled(session, issue, chosen)
        broadcast.state = BroadcastState.FREEZING
        broadcast_id = broadcast.id
    freezing.freeze(sessions, broadcast_id, TrackingMode.AGGREGATE)
    return broadcast_id


def _settle(sessions: Sessions, broadcast_id: int, start: datetime, outcome: Outcome) -> None:
    """As if a relay had answered, one mail a second."""
    with sessions.writing() as session:
        rows = select(Delivery).where(Delivery.broadcast_id == broadcast_id).order_by(Delivery.id)
        for number, delivery in enumerate(session.scalars(rows)):
            outcome(number, delivery)
            if delivery.state is DeliveryState.PENDING and not delivery.attempt:
                continue
            delivery.last_at = start + timedelta(seconds=number)
            delivery.relay = "main"
            delivery.attempt = 1
            if delivery.state is not DeliveryState.ACCEPTED:
                said = f"{delivery.reply_code or ''} {delivery.reply_text}".strip()
                log = DeliveryLog(delivery_id=delivery.id, state=delivery.state, reason=said)
                session.add(log)


def _mostly_accepted(number: int, delivery: Delivery) -> None:
    delivery.state = DeliveryState.ACCEPTED
    if number % 11 == 4:
        _refused(
            delivery, *((ReplyClass.GONE, _GONE) if number % 2 else (ReplyClass.REFUSED, _BLOCKED))
        )
    elif number % 17 == 6:
        delivery.state, delivery.reason = DeliveryState.SKIPPED, SkipReason.UNSUBSCRIBED


def _some_in_doubt(number: int, delivery: Delivery) -> None:
    _mostly_accepted(number, delivery)
    if number in (3, 9):
        delivery.state, delivery.reason = DeliveryState.IN_DOUBT, "connection lost"
        delivery.reply_text = "connection lost after the final dot"


def _half_way(number: int, delivery: Delivery) -> None:
    if number < 16:
        _mostly_accepted(number, delivery)
    elif number == 16:
        delivery.attempt, delivery.due_at = 1, delivery.due_at + timedelta(hours=2)
        delivery.reply_code, delivery.enhanced_code, delivery.reply_text = _FULL


def _refused(delivery: Delivery, reason: ReplyClass, reply: tuple[int, str, str]) -> None:
    delivery.state, delivery.reason = DeliveryState.FAILED, reason
    delivery.reply_code, delivery.enhanced_code, delivery.reply_text = reply


def _finish(sessions: Sessions, broadcast_id: int, state: BroadcastState, at: datetime) -> None:
    with sessions.writing() as session:
        broadcast = session.get_one(Broadcast, broadcast_id)
        broadcast.state, broadcast.finished_at = state, at


def _read(sessions: Sessions, broadcast_id: int, chance: Random) -> None:
    """People, proxies and scanners, most within the first hours."""
    with sessions.writing() as session:
        accepted = session.scalars(
            select(Delivery)
            .where(Delivery.broadcast_id == broadcast_id)
            .where(Delivery.state == DeliveryState.ACCEPTED)
            .order_by(Delivery.id)
        ).all()
        for delivery in accepted:
            assert delivery.last_at
            at = delivery.last_at + timedelta(minutes=1 + chance.expovariate(1 / 120))
            agent = chance.choice((_THUNDERBIRD, _THUNDERBIRD, _APPLE, _SCANNER, ""))
            if not agent:
                continue
            session.add(_hit(delivery, EventKind.OPEN, at, agent))
            if chance.random() < 0.04:
                session.add(_hit(delivery, EventKind.UNSUBSCRIBE, at, agent))
            if agent == _THUNDERBIRD and chance.random() < 0.6:
                link = min(int(chance.expovariate(0.5)), _LINKS - 1)
                later = at + timedelta(seconds=40)
                session.add(_hit(delivery, EventKind.CLICK, later, agent, link))


def _hit(
    delivery: Delivery, kind: EventKind, at: datetime, agent: str, link: int | None = None
) -> Event:
    return Event(
        broadcast_id=delivery.broadcast_id,
        delivery_id=delivery.id,
        kind=kind,
        at=at,
        user_agent=agent,
        ip="192.0.2.44",
        link=link,
    )
