"""What somebody who works here does for one person: put on a list, take off, mend what is kept.

They act on the person's word, never instead of it: nobody who left is brought back by hand.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.core.clock import now
from newsletter.core.erasure_key import ErasureKey
from newsletter.core.errors import InputError, RefusedError
from newsletter.core.sentences import Count, Sentence, quoted, say
from newsletter.mail.address import Address
from subscribers import details, leavers, sign_up, subscriptions, suppressions
from subscribers.elsewhere import is_elsewhere
from subscribers.evidence import Evidence
from subscribers.imports.presets.cells import MAX_LEVELS, json_value
from subscribers.models import (
    ConsentChange,
    ConsentEvent,
    ConsentMethod,
    Subscriber,
    SubscriberList,
    Subscription,
    SubscriptionStatus,
)
from subscribers.subscriptions import UNDO_WITHIN

METHOD = ConsentMethod.DESK
MAX_ATTRIBUTE_CHARACTERS = 20_000
MAX_STATEMENT_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept about a person besides their subscriptions, as typed."""

    name: str
    locale: str
    time_zone: str
    attributes: str


def may_join(
    session: Session, address: Address, to: SubscriberList, erased: ErasureKey | None
) -> None:
    """Nothing stands against putting this address on the list.

    Raises:
        RefusedError: says what does: a suppression, an erasure, or that they left; or that nobody
            can tell who was erased.
    """
    if suppressions.erased_among(session, [address.key], erased):
        raise RefusedError(
            say(
                "%(address)s asked to be forgotten; only they can come back, by signing up",
                address=address.typed,
            )
        )
    covering = suppressions.covering(session, address, list_id=to.id, erased=None)
    if covering:
        raise RefusedError(
            say(
                "%(address)s is suppressed (%(reason)s) and must not be mailed",
                address=address.typed,
                reason=covering.reason,
            )
        )
    person = subscriptions.find_subscriber(session, address)
    standing = person and subscriptions.find_subscription(session, person.id, to.id)
    if standing and standing.status is SubscriptionStatus.UNSUBSCRIBED:
        raise RefusedError(
            say(
                "%(address)s left %(name)r; only they can come back, by signing up",
                address=address.typed,
                name=to.name,
            )
        )
    if standing and standing.status is SubscriptionStatus.ACTIVE:
        raise RefusedError(
            say("%(address)s is on %(name)r already", address=address.typed, name=to.name)
        )
    if person and leavers.left_newsletter(session, person.id, to):
        raise RefusedError(_has_left(session, person, to))


def _has_left(session: Session, person: Subscriber, to: SubscriberList) -> Sentence:
    """With the way out for whoever wanted to move them, and began by taking them off."""
    of_newsletter = select(Subscription).where(
        Subscription.subscriber_id == person.id,
        Subscription.list.has(SubscriberList.newsletter_id == to.newsletter_id),
    )
    for ended in session.scalars(of_newsletter.order_by(Subscription.list_id)):
        if may_be_put_back(session, ended):
            return say(
                "%(address)s was taken off %(old)r and is on no list of this newsletter any more; "
                "take that back, put them on %(new)r, and then take them off %(old)r",
                address=person.email,
                old=ended.list.name,
                new=to.name,
            )
    return say(
        "%(address)s left this newsletter; only they can come back, by signing up",
        address=person.email,
    )


def known(session: Session, address: Address, name: str, *, by: int | None = None) -> Subscriber:
    """The person with this address, their row locked; made if nobody has it.

    A known name is not overwritten. With the newsletter `by` nor does anybody get one whom another
    newsletter knows too.

    Raises:
        InputError: the name is not one.
    """
    checked = details.name(name)
    person = sign_up.locked(session, address)
    if by is None or not is_elsewhere(session, person.id, by):
        person.name = person.name or checked
    return person


def put_on(session: Session, person: Subscriber, to: SubscriberList, statement: str) -> None:
    """By the statement that they agreed; `may_join` has been asked.

    Raises:
        InputError: there is no statement.
        RefusedError: they were asked to confirm and have not: only they can.
    """
    wording = statement.strip()
    if not wording or len(wording) > MAX_STATEMENT_CHARACTERS:
        raise InputError(
            "statement",
            say(
                "expected how they agreed, in up to %(most)s letters",
                most=Count(MAX_STATEMENT_CHARACTERS),
            ),
        )
    if sign_up.is_asked(session, person, to):
        raise RefusedError(
            say(
                "%(email)s was asked to confirm %(name)r and has not yet",
                email=person.email,
                name=to.name,
            )
        )
    subscriptions.subscribe(session, person, to, Evidence(METHOD, wording=wording))


def take_off(session: Session, subscriber_id: int, list_id: int) -> Subscription | None:
    """End their subscription because they asked us to; None when it is ended or gone."""
    subscription = sign_up.waiting(session, subscriber_id, list_id)
    if subscription is None or subscription.status is SubscriptionStatus.UNSUBSCRIBED:
        return None
    subscriptions.end(session, subscription, Evidence(METHOD, wording="They asked us to."))
    return subscription


def put_back(session: Session, subscriber_id: int, on: SubscriberList) -> bool:
    """Take a `take_off` of the last day back; False when there is none, or they left themselves."""
    subscription = sign_up.waiting(session, subscriber_id, on.id)
    if subscription is None or not may_be_put_back(session, subscription):
        return False
    subscriptions.resume(session, subscription, Evidence(METHOD, wording="Taken off by mistake."))
    return True


def may_be_put_back(session: Session, subscription: Subscription) -> bool:
    """It was ended here, by hand, and not long ago; nothing was heard of them since."""
    left_at = subscription.unsubscribed_at
    if subscription.status is not SubscriptionStatus.UNSUBSCRIBED or left_at is None:
        return False
    if left_at <= now() - UNDO_WITHIN:
        return False
    last = session.scalar(
        select(ConsentEvent)
        .where(
            ConsentEvent.subscriber_id == subscription.subscriber_id,
            ConsentEvent.list_id == subscription.list_id,
        )
        .order_by(ConsentEvent.id.desc())
        .limit(1)
    )
    if last is None or (last.change, last.method) != (ConsentChange.UNSUBSCRIBED, METHOD):
        return False
    return not leavers.has_left_since(session, subscription, last)


def edition(person: Subscriber) -> str:
    """Stands for what is kept now: whoever saves says which edition they have seen."""
    kept = (person.name, person.locale, person.time_zone, person.attributes)
    return sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def describe(person: Subscriber, kept: Kept) -> list[str]:
    """Keep what is known better now; returns the names of what is different.

    Raises:
        InputError: names the field; nothing is changed then.
    """
    read = details.Details(
        _read(details.name, kept.name, person.name),
        _read(details.locale, kept.locale, person.locale),
        _read(details.time_zone, kept.time_zone, person.time_zone),
    )
    attributes = attributes_of(kept.attributes)
    different = details.describe(person, read)
    if person.attributes != attributes:
        person.attributes = attributes
        different.append("attributes")
    return different


def _read(read: Callable[[str], str], typed: str, known: str) -> str:
    """What was not touched stays as it is, whatever an import once brought."""
    return known if typed == known else read(typed)


_JSON_SAYS: Mapping[str, Sentence] = {
    known: known
    for known in (
        say("expecting value"),
        say("expecting ',' delimiter"),
        say("expecting ':' delimiter"),
        say("expecting property name enclosed in double quotes"),
        say("illegal trailing comma before end of object"),
        say("illegal trailing comma before end of array"),
        say("unterminated string starting at"),
        say("invalid control character at"),
        say("extra data"),
    )
}
"""What Python's own reader finds wrong with JSON."""


def attributes_of(text: str) -> dict[str, Any]:
    """The attributes that somebody typed as JSON.

    Raises:
        InputError: says where, as line and column, and what was expected there.
    """
    if len(text) > MAX_ATTRIBUTE_CHARACTERS:
        raise InputError(
            "attributes",
            say("expected at most %(most)s characters", most=Count(MAX_ATTRIBUTE_CHARACTERS)),
        )
    if not text.strip():
        return {}
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError("attributes", _not_json(error)) from None
    except (ValueError, RecursionError):
        pass
    value = json_value(text)
    if not isinstance(value, dict):
        raise InputError(
            "attributes",
            say(
                'expected a JSON object of at most %(most)s levels, such as {"plan": "pro"}',
                most=MAX_LEVELS,
            ),
        )
    return value


def _not_json(error: json.JSONDecodeError) -> Sentence:
    said = error.msg.lower()
    problem = _JSON_SAYS.get(said) or quoted(said)
    return say(
        "line %(line)s, column %(column)s: %(problem)s",
        line=error.lineno,
        column=error.colno,
        problem=problem,
    )
