"""Letters to the owner of a subscription: a link that proves the mailbox, a word when they left."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.core import logs
from newsletter.core.clock import now
from newsletter.core.errors import InputError, NewsletterError
from newsletter.core.runtime import Runtime
from newsletter.core.sentences import say
from newsletter.issues.models import Newsletter
from newsletter.rendering.mail_tokens import OwnerToken, UndoToken
from newsletter.sending.letters import Letter, post
from newsletter.sending.models import SystemMail
from subscribers import preferences, suppressions
from subscribers.models import Subscriber
from subscribers.subscriptions import UNDO_WITHIN

MOST_A_DAY = 3
"""Notices of leaving, to one person, for one newsletter: whoever has a mail of theirs may leave."""
OWNER_HOURS = 24
_MOST_TO_STRANGERS = 3
_STRANGERS_WINDOW = timedelta(days=30)
"""Whoever is on no list gets so many links within this time, whoever asks for them."""

log = logs.get(__name__)


def send_owner_link(
    session: Session,
    runtime: Runtime,
    newsletter: Newsletter,
    person: Subscriber,
    asked_in: str = "",
) -> bool:
    """Mail them a link to the whole of their preferences; False when they have had enough.

    Raises:
        ConfigurationError: the newsletter has no sender address.
    """
    # Two at once would both be the first.
    session.refresh(person, with_for_update={"key_share": True})
    if _had_enough(session, newsletter, person):
        return False
    until = int(now().timestamp()) + OWNER_HOURS * 3600
    token = OwnerToken(newsletter.id, person.id, until).mint(runtime.keys)
    url = f"{runtime.settings.site.public_url}/p/{token}"
    about = {"preferences_url": url, "hours": OWNER_HOURS}
    subject = say("Your preferences: %(newsletter)s", newsletter=newsletter.name)
    letter = Letter("preferences", "", subject, about, asked_in)
    return _post(session, runtime, newsletter, person, letter)


def tell_of_leaving(
    session: Session,
    runtime: Runtime,
    token: UndoToken,
    lists: Sequence[str] = (),
    asked_in: str = "",
) -> bool:
    """Tell the owner that somebody with a mail of theirs left for them, and how to undo it.

    In the transaction of the leaving, whose locks keep a second one waiting. `lists` are those that
    were left, if not all. A letter that cannot be made keeps nobody from leaving.
    """
    newsletter = session.get_one(Newsletter, token.newsletter_id)
    person = session.get_one(Subscriber, token.subscriber_id)
    owners = replace(token, is_owners=True).mint(runtime.keys)
    url = f"{runtime.settings.site.public_url}/undo/{owners}"
    hours = int(UNDO_WITHIN.total_seconds() // 3600)
    what = _listed(lists or [newsletter.name])
    about = {"undo_url": url, "hours": hours, "lists": lists, "what": what}
    letter = Letter("left", "", say("You have left %(what)s", what=what), about, asked_in)
    try:
        return _post(session, runtime, newsletter, person, letter)
    except NewsletterError as error:
        # No words of the error: an expression of a template may quote what it was given.
        place = error.place if isinstance(error, InputError) else ""
        log.warning(
            "notice.failed", subscriber_id=person.id, error=type(error).__name__, place=place
        )
        return False


def _listed(names: Sequence[str]) -> str:
    *some, last = names
    if not some:
        return last
    return say("%(some)s and %(last)s", some=", ".join(some), last=last)


def _had_enough(session: Session, newsletter: Newsletter, person: Subscriber) -> bool:
    """Their last link still works; or they are on no list, and old mails are no reason to write."""
    days = range(_STRANGERS_WINDOW.days + 1)
    keys = [key for ago in days for key in _keys("preferences", newsletter, person, ago)]
    posted = [at for at in _posted(session, keys) if at > now() - _STRANGERS_WINDOW]
    if any(at > now() - timedelta(hours=OWNER_HOURS) for at in posted):
        return True
    standing = preferences.preferences(session, person.id, newsletter.id, by_owner=False)
    return not standing.is_on_any and len(posted) >= _MOST_TO_STRANGERS


def _post(
    session: Session,
    runtime: Runtime,
    newsletter: Newsletter,
    person: Subscriber,
    letter: Letter,
) -> bool:
    """One more letter of this kind today, if it is not too many; it gets its key here."""
    keys = _keys(letter.kind, newsletter, person)
    sent = len(_posted(session, keys))
    if sent >= len(keys) or suppressions.is_suppressed(session, person.address_key):
        return False
    return post(session, runtime, newsletter, person, replace(letter, key=keys[sent]))


def _keys(kind: str, newsletter: Newsletter, person: Subscriber, days_ago: int = 0) -> list[str]:
    """Of that day's letters of this kind, in the order they go out."""
    day = now().date() - timedelta(days=days_ago)
    return [f"{kind}-{newsletter.id}-{person.id}-{day}-{n}" for n in range(MOST_A_DAY)]


def _posted(session: Session, keys: Sequence[str]) -> Sequence[datetime]:
    """When those went into the outbox that did; asked by whole keys, which an index has."""
    posted = select(SystemMail.created_at).where(SystemMail.idempotency_key.in_(keys))
    return session.scalars(posted).all()
