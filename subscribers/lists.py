"""Lists people can be on."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from newsletter.core.errors import InputError, NotFoundError, RefusedError
from newsletter.core.slug import slugify
from subscribers.models import MAX_NAME_CHARACTERS, SubscriberList, Subscription, SubscriptionStatus


def create_list(session: Session, name: str, newsletter_id: int | None = None) -> SubscriberList:
    """A new list; without a newsletter it waits for the first one and is adopted by it.

    Raises:
        InputError: the name has nothing a slug can be made of, or is too long.
        RefusedError: a list of that name is there already.
    """
    slug = slugify(name)
    if len(name.strip()) > MAX_NAME_CHARACTERS:
        raise InputError("name", f"expected at most {MAX_NAME_CHARACTERS} characters")
    if session.scalar(select(SubscriberList.id).where(SubscriberList.slug == slug)):
        raise RefusedError(f"list {slug!r} is there already")
    created = SubscriberList(slug=slug, name=name.strip(), newsletter_id=newsletter_id)
    session.add(created)
    session.flush()
    return created


def find_list(session: Session, text: str) -> SubscriberList:
    """A list by slug or name.

    Raises:
        NotFoundError: there is none; the error names those there are.
    """
    found = session.scalar(select(SubscriberList).where(SubscriberList.slug == slugify(text)))
    if found is None:
        known = session.scalars(select(SubscriberList.slug).order_by(SubscriberList.slug)).all()
        raise NotFoundError("list", text, f"there are: {', '.join(known) or 'none yet'}")
    return found


def list_sizes(session: Session) -> list[tuple[SubscriberList, dict[SubscriptionStatus, int]]]:
    """Every list with its subscriptions counted by status."""
    counts: dict[int, dict[SubscriptionStatus, int]] = {}
    rows = session.execute(
        select(Subscription.list_id, Subscription.status, func.count()).group_by(
            Subscription.list_id, Subscription.status
        )
    )
    for list_id, status, count in rows:
        counts.setdefault(list_id, {})[status] = count
    lists = session.scalars(select(SubscriberList).order_by(SubscriberList.slug))
    return [(found, counts.get(found.id, {})) for found in lists]


def slugs_of_lists(session: Session) -> dict[int, str]:
    """What every list is called, by its id."""
    return dict(session.execute(select(SubscriberList.id, SubscriberList.slug)).all())
