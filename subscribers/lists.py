"""Lists people can be on, and what each of them does and says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from unicodedata import category

from sqlalchemy import Select, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from newsletter.core.errors import InputError, NotFoundError, RefusedError
from newsletter.core.sentences import Count, say
from newsletter.core.slug import slugify
from subscribers.details import BREAKING
from subscribers.models import MAX_NAME_CHARACTERS, SubscriberList, Subscription, SubscriptionStatus
from subscribers.sign_up_fields import SignUpField

MAX_WORDING_CHARACTERS = 1_000

Sizes = Mapping[SubscriptionStatus, int]


@dataclass(frozen=True, slots=True)
class ListSettings:
    """What a list is called, and its sign-up form: who may use it, what it says and asks."""

    name: str
    is_public: bool
    confirms: bool
    welcomes: bool
    wording: str
    fields: tuple[SignUpField, ...]


def create_list(session: Session, name: str, newsletter_id: int | None = None) -> SubscriberList:
    """A new list; without a newsletter it waits for the first one and is adopted by it.

    Raises:
        InputError: the name has nothing a slug can be made of, or is too long.
        RefusedError: a list of that name is there already.
    """
    slug, name = slugify(name), checked_name(name)
    if session.scalar(select(SubscriberList.id).where(SubscriberList.slug == slug)):
        raise RefusedError(say("list %(slug)r is there already", slug=slug))
    created = SubscriberList(slug=slug, name=name, newsletter_id=newsletter_id)
    try:
        with session.begin_nested():
            session.add(created)
    except IntegrityError:  # by somebody else, just now
        raise RefusedError(say("list %(slug)r is there already", slug=slug)) from None
    return created


def find_list(session: Session, text: str) -> SubscriberList:
    """A list by slug or name.

    Raises:
        NotFoundError: there is none; the error names those there are.
    """
    found = session.scalar(select(SubscriberList).where(SubscriberList.slug == slugify(text)))
    if found is None:
        known = session.scalars(select(SubscriberList.slug).order_by(SubscriberList.slug)).all()
        raise NotFoundError(
            "list", text, say("there are: %(known)s", known=", ".join(known) or say("none yet"))
        )
    return found


def change_list(session: Session, changed: SubscriberList, wanted: ListSettings) -> dict[str, Any]:
    """Change what is different; returns that, as the columns now have it.

    The short name stays: forms on other sites and saved segments go by it.

    Raises:
        InputError: the name or the wording is not fit to be shown.
    """
    columns = {
        "name": checked_name(wanted.name),
        "is_public": wanted.is_public,
        "confirms": wanted.confirms,
        "welcomes": wanted.welcomes,
        "wording": checked_wording(wanted.wording),
        "fields": [asked.to_json() for asked in wanted.fields],
    }
    different = {key: value for key, value in columns.items() if getattr(changed, key) != value}
    for key, value in different.items():
        setattr(changed, key, value)
    session.flush()
    return different


def checked_name(name: str) -> str:
    """A name that a list may have.

    Raises:
        InputError: it is empty, too long, or has characters that break a line.
    """
    tidied = name.strip()
    breaks = any(category(character) in BREAKING for character in tidied)
    if not tidied or len(tidied) > MAX_NAME_CHARACTERS or breaks:
        raise InputError(
            "name",
            say("expected one line of at most %(most)s characters", most=MAX_NAME_CHARACTERS),
        )
    return tidied


def checked_wording(wording: str, *, place: str = "wording") -> str:
    """A sentence that people agree to; empty for the usual one.

    Raises:
        InputError: it is too long, or more than one line.
    """
    tidied = wording.strip()
    if len(tidied) > MAX_WORDING_CHARACTERS or not tidied.isprintable():
        raise InputError(
            place,
            say(
                "expected one line of at most %(most)s characters",
                most=Count(MAX_WORDING_CHARACTERS),
            ),
        )
    return tidied


def of_newsletter(session: Session, newsletter_id: int) -> Sequence[SubscriberList]:
    """The lists of one newsletter, by name."""
    return session.scalars(
        select(SubscriberList)
        .where(SubscriberList.newsletter_id == newsletter_id)
        .order_by(SubscriberList.name, SubscriberList.id)
    ).all()


def sizes_of(session: Session, newsletter_id: int) -> dict[int, Sizes]:
    """The subscriptions of each of a newsletter's lists by status, all counted at once."""
    ours = select(SubscriberList.id).where(SubscriberList.newsletter_id == newsletter_id)
    return _sizes(session, _counted().where(Subscription.list_id.in_(ours)))


def list_sizes(session: Session) -> list[tuple[SubscriberList, Sizes]]:
    """Every list with its subscriptions counted by status."""
    counts = _sizes(session, _counted())
    lists = session.scalars(select(SubscriberList).order_by(SubscriberList.slug))
    return [(found, counts.get(found.id, {})) for found in lists]


def _counted() -> Select[int, SubscriptionStatus, int]:
    counted = select(Subscription.list_id, Subscription.status, func.count())
    return counted.group_by(Subscription.list_id, Subscription.status)


def _sizes(session: Session, counted: Select[int, SubscriptionStatus, int]) -> dict[int, Sizes]:
    counts: dict[int, dict[SubscriptionStatus, int]] = {}
    for list_id, status, count in session.execute(counted):
        counts.setdefault(list_id, {})[status] = count
    return dict(counts)


def slugs_of_lists(session: Session, newsletter_id: int | None = None) -> dict[int, str]:
    """What every list is called, by its id: of one newsletter, or of all."""
    found = select(SubscriberList.id, SubscriberList.slug)
    if newsletter_id is not None:
        found = found.where(SubscriberList.newsletter_id == newsletter_id)
    return dict(session.execute(found).all())
