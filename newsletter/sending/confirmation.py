"""Letters about a sign-up: each in the transaction of its cause, none more often than is decent."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from newsletter.core.clock import now
from newsletter.core.errors import RefusedError
from newsletter.core.runtime import Runtime
from newsletter.core.sentences import say
from newsletter.issues.models import Newsletter
from newsletter.mail.address import Address
from newsletter.rendering.mail_tokens import ConfirmToken, Door, LeaveToken, PreferencesToken
from newsletter.sending.letters import Letter, post
from subscribers import sign_up as signing_up
from subscribers import subscriptions, suppressions
from subscribers.evidence import Evidence
from subscribers.models import Subscriber, SubscriberList, Subscription, SubscriptionStatus
from subscribers.sign_up import Standing, Wish
from subscribers.sign_up_counts import LetterKind, forget_letters, letter_is_due

CONFIRM_WITHIN = timedelta(days=7)
"""How long the link of a confirmation mail works; its page then offers a new one."""

_Write = Callable[[Runtime, Newsletter, Subscriber, SubscriberList], Letter]


def sign_up(session: Session, runtime: Runtime, to: SubscriberList, wish: Wish) -> None:
    """Take a visitor's wish in and mail the owner of the address, if a mail is due.

    Nothing is returned: whoever asks learns nothing about the address.

    Raises:
        ConfigurationError: the newsletter has no sender address.
    """
    taken = signing_up.sign_up(session, to, wish, runtime.erasure_key)
    if taken is None:
        return
    person, standing = taken
    if standing is Standing.JOINED:
        _post_welcome(session, runtime, person, to, wish.language)
        return
    write = _known if standing is Standing.KNOWN else _confirmation
    is_posted = _post_if_due(session, runtime, person, to, write, wish.language)
    if is_posted and standing is Standing.WAITING:
        subscriptions.request_again(session, person, to, wish.evidence)


def ask_to_confirm(
    session: Session,
    runtime: Runtime,
    person: Subscriber,
    to: SubscriberList,
    evidence: Evidence,
    asked_in: str = "",
) -> bool:
    """Make the subscription pending and put its mail into the outbox; False when none is due.

    Raises:
        RefusedError: the list belongs to no newsletter yet, so nobody could be the sender.
    """
    _newsletter(session, to)
    session.get(Subscriber, person.id, with_for_update={"key_share": True})
    was_asked = signing_up.is_asked(session, person, to)
    subscription = subscriptions.request(session, person, to, evidence)
    if subscription.status is not SubscriptionStatus.PENDING:
        return False
    is_posted = _post_if_due(session, runtime, person, to, _confirmation, asked_in)
    if is_posted and was_asked:
        subscriptions.request_again(session, person, to, evidence)
    return is_posted


def ask_again(
    session: Session, runtime: Runtime, token: ConfirmToken, evidence: Evidence, asked_in: str = ""
) -> None:
    """A new link for an old one: under the same limits, and only while it is waited for."""
    subscription = signing_up.waiting(session, token.subscriber_id, token.list_id)
    if subscription is None or subscription.status is not SubscriptionStatus.PENDING:
        return
    person, to = subscription.subscriber, subscription.list
    if _post_if_due(session, runtime, person, to, _confirmation, asked_in):
        subscriptions.request_again(session, person, to, evidence)


def confirm(
    session: Session, runtime: Runtime, token: ConfirmToken, evidence: Evidence, asked_in: str = ""
) -> Subscription | None:
    """The owner confirms and is welcomed, once; the subscription as it stands now, if it is there.

    The link does not confirm once its time is over, or from before they left.
    """
    subscription = signing_up.waiting(session, token.subscriber_id, token.list_id)
    if subscription is None or is_over(token, subscription):
        return subscription
    if signing_up.confirm(session, subscription, evidence, runtime.erasure_key):
        person = subscription.subscriber
        forget_letters(session, runtime.keys, person.address_key)
        _post_welcome(session, runtime, person, subscription.list, asked_in)
    return subscription


def is_over(token: ConfirmToken, subscription: Subscription) -> bool:
    """The link is too old to confirm by, or older than their leaving.

    Whoever left has used their links up: else a stranger asks for them, and an old one says yes.
    """
    left_at = subscription.unsubscribed_at
    has_left_since = left_at is not None and token.until < _good_until(left_at)
    return has_left_since or token.until < now().timestamp()


def _good_until(asked_at: datetime) -> int:
    """Until when a link of that moment confirms, in the seconds of its token."""
    return int((asked_at + CONFIRM_WITHIN).timestamp())


def _post_welcome(
    session: Session, runtime: Runtime, person: Subscriber, to: SubscriberList, asked_in: str
) -> None:
    if to.welcomes and _may_be_mailed(session, person, to):
        newsletter = _newsletter(session, to)
        letter = _welcome(runtime, newsletter, person, to)
        post(session, runtime, newsletter, person, replace(letter, asked_in=asked_in))


def _post_if_due(
    session: Session,
    runtime: Runtime,
    person: Subscriber,
    to: SubscriberList,
    write: _Write,
    asked_in: str,
) -> bool:
    """Under the count of letters to one address; False when none is due."""
    if not _may_be_mailed(session, person, to):
        return False
    kind = LetterKind.TELLING if write is _known else LetterKind.ASKING
    if not letter_is_due(session, runtime.keys, person.address_key, kind):
        return False
    newsletter = _newsletter(session, to)
    letter = write(runtime, newsletter, person, to)
    return post(session, runtime, newsletter, person, replace(letter, asked_in=asked_in))


def _may_be_mailed(session: Session, person: Subscriber, to: SubscriberList) -> bool:
    """No suppression has come since they asked."""
    address = Address.stored(person.email, person.address_key)
    return suppressions.covering(session, address, list_id=to.id, erased=None) is None


def _welcome(
    runtime: Runtime, newsletter: Newsletter, person: Subscriber, to: SubscriberList
) -> Letter:
    return Letter(
        "welcome",
        _key("welcome", person, to),
        say("Welcome to %(newsletter)s", newsletter=newsletter.name),
        {
            "list_name": to.name,
            "archive_url": f"{runtime.settings.site.public_url}/archive/{newsletter.slug}",
            "leave_url": _leave_url(runtime, person, newsletter.id),
            "preferences_url": _preferences_url(runtime, person, newsletter.id),
        },
    )


def _confirmation(
    runtime: Runtime, newsletter: Newsletter, person: Subscriber, to: SubscriberList
) -> Letter:
    token = ConfirmToken(person.id, to.id, _good_until(now())).mint(runtime.keys)
    return Letter(
        "confirmation",
        _key("confirm", person, to),
        say("Please confirm: %(newsletter)s", newsletter=newsletter.name),
        {
            "list_name": to.name,
            "confirm_url": f"{runtime.settings.site.public_url}/confirm/{token}",
            "days": CONFIRM_WITHIN.days,
        },
    )


def _known(
    runtime: Runtime, newsletter: Newsletter, person: Subscriber, to: SubscriberList
) -> Letter:
    """Somebody on the list signed up again: they, or another with their address."""
    return Letter(
        "known",
        _key("known", person, to),
        say("You are on the list already: %(newsletter)s", newsletter=newsletter.name),
        {"list_name": to.name, "leave_url": _leave_url(runtime, person, newsletter.id)},
    )


def _key(kind: str, person: Subscriber, to: SubscriberList) -> str:
    return f"{kind}-{person.id}-{to.id}-{now().date().isoformat()}"


def _leave_url(runtime: Runtime, person: Subscriber, newsletter_id: int) -> str:
    token = LeaveToken(Door.BODY, newsletter_id, person.id, broadcast_id=0, delivery_id=0)
    return f"{runtime.settings.site.public_url}/u/{token.mint(runtime.keys)}"


def _preferences_url(runtime: Runtime, person: Subscriber, newsletter_id: int) -> str:
    token = PreferencesToken(newsletter_id, person.id)
    return f"{runtime.settings.site.public_url}/p/{token.mint(runtime.keys)}"


def _newsletter(session: Session, to: SubscriberList) -> Newsletter:
    if to.newsletter_id is None:
        raise RefusedError(
            say("list %(slug)r has no newsletter yet: import an issue first", slug=to.slug)
        )
    return session.get_one(Newsletter, to.newsletter_id)
