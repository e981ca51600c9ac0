"""How people come and leave. Every change writes its evidence; nothing here revives a leaver."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.core.clock import now
from newsletter.core.errors import InputError, RefusedError
from newsletter.core.sentences import say
from newsletter.mail.address import Address
from subscribers import engagement, leavers
from subscribers.evidence import Evidence, witness
from subscribers.locking import lock_people
from subscribers.models import (
    MAX_NAME_CHARACTERS,
    STATUS_MOVES,
    ConsentChange,
    Subscriber,
    SubscriberList,
    Subscription,
    SubscriptionStatus,
    TrackingConsent,
)

UNDO_WITHIN = timedelta(hours=24)
"""How long a leaving can be taken back without confirming anew."""
_ONE_PRESS = timedelta(minutes=1)
"""Who leaves twice the same way within it pressed a button twice, or their mail program did."""


def find_subscriber(session: Session, address: Address) -> Subscriber | None:
    """The person with this address, however it is spelt."""
    return session.scalar(select(Subscriber).where(Subscriber.address_key == address.key))


def ensure_subscriber(session: Session, address: Address, name: str = "") -> Subscriber:
    """The person with this address; made if nobody has it. A known name is not overwritten.

    Raises:
        InputError: the name is too long.
    """
    if len(name) > MAX_NAME_CHARACTERS:
        raise InputError(
            "name", say("expected at most %(most)s characters", most=MAX_NAME_CHARACTERS)
        )
    person = find_subscriber(session, address)
    if person is None:
        person = Subscriber(
            email=address.typed, address_key=address.key, domain_key=address.domain, name=name
        )
        session.add(person)
        session.flush()
    elif name and not person.name:
        person.name = name
    return person


def subscribe(
    session: Session, person: Subscriber, to: SubscriberList, evidence: Evidence
) -> Subscription:
    """Put somebody on a list by the operator's statement of consent.

    Raises:
        RefusedError: the person left this list, or its newsletter; only they themselves come back,
            by confirming.
    """
    lock_people(session, [person.id])
    subscription = find_subscription(session, person.id, to.id)
    if subscription is None:
        if leavers.left_newsletter(session, person.id, to):
            raise RefusedError(
                say(
                    "%(email)s left the newsletter of %(slug)r; "
                    "only they can come back, by confirming",
                    email=person.email,
                    slug=to.slug,
                )
            )
        subscription = _new(session, person, to, SubscriptionStatus.ACTIVE)
        witness(session, subscription, ConsentChange.SUBSCRIBED, evidence)
    elif subscription.status is SubscriptionStatus.UNSUBSCRIBED:
        raise RefusedError(
            say(
                "%(email)s unsubscribed from %(slug)r; only they can come back, by confirming",
                email=person.email,
                slug=to.slug,
            )
        )
    return subscription


def request(
    session: Session, person: Subscriber, to: SubscriberList, evidence: Evidence
) -> Subscription:
    """Ask for a subscription that its owner has to confirm; an active one stays as it is."""
    subscription = find_subscription(session, person.id, to.id)
    if subscription is None:
        subscription = _new(session, person, to, SubscriptionStatus.PENDING)
    elif subscription.status is SubscriptionStatus.UNSUBSCRIBED:
        _move(subscription, SubscriptionStatus.PENDING)
    else:
        return subscription
    witness(session, subscription, ConsentChange.REQUESTED, evidence)
    return subscription


def request_again(
    session: Session, person: Subscriber, to: SubscriberList, evidence: Evidence
) -> None:
    """A letter goes to who was asked before: the evidence of it, and they have time anew."""
    subscription = find_subscription(session, person.id, to.id)
    assert subscription, "a letter to nobody"
    witness(session, subscription, ConsentChange.REQUESTED, evidence)


def confirm(session: Session, subscription: Subscription, evidence: Evidence) -> bool:
    """The owner confirms; False when there was nothing to confirm (any more).

    Nothing is left of an earlier leaving, nor of what a visitor typed: whoever wants that takes it
    before.
    """
    if subscription.status is not SubscriptionStatus.PENDING:
        return False
    _move(subscription, SubscriptionStatus.ACTIVE)
    subscription.confirmed_at = now()
    subscription.unsubscribed_at = None
    subscription.answers = {}
    witness(session, subscription, ConsentChange.CONFIRMED, evidence)
    return True


def leave(
    session: Session, subscriber_id: int, newsletter_id: int, evidence: Evidence
) -> list[Subscription]:
    """End the person's subscriptions on every list of the newsletter; returns those ended now.

    Of those that were ended already it is known from now on that they left themselves.
    """
    ended = []
    left_at = now()
    for subscription in _of_newsletter(session, subscriber_id, newsletter_id):
        if subscription.status is SubscriptionStatus.UNSUBSCRIBED:
            leave_again(session, subscription, evidence)
            continue
        end(session, subscription, evidence)
        subscription.unsubscribed_at = left_at  # one moment for all: `undo_leave` goes by it
        ended.append(subscription)
    return ended


def leave_again(session: Session, ended: Subscription, evidence: Evidence) -> None:
    """Who ended it first, by a forwarded mail or at the desk, cannot take that back any more.

    The moment of leaving stays: with another one, an undo would take back what it did not end.
    """
    if ended.unsubscribed_at is None or ended.unsubscribed_at <= now() - UNDO_WITHIN:
        return  # it cannot be taken back anyway
    last = leavers.last_leaving(session, ended)
    if last and last.change is ConsentChange.LEFT_AGAIN:
        return
    is_one_press = last and last.method == evidence.method and last.at > now() - _ONE_PRESS
    if not is_one_press:
        witness(session, ended, ConsentChange.LEFT_AGAIN, evidence)


def end(session: Session, subscription: Subscription, evidence: Evidence) -> None:
    """End one subscription that is not ended yet."""
    _move(subscription, SubscriptionStatus.UNSUBSCRIBED)
    subscription.unsubscribed_at = now()
    subscription.answers = {}
    witness(session, subscription, ConsentChange.UNSUBSCRIBED, evidence)


def undo_leave(
    session: Session,
    subscriber_id: int,
    newsletter_id: int,
    left_at: datetime,
    evidence: Evidence,
    *,
    by_owner: bool = False,
) -> list[Subscription]:
    """Take back the `leave` of that moment: what it ended, and nothing else, is as it was.

    What was ended since, by whomever, stays ended, and so does what was left longer ago than
    `UNDO_WITHIN`: an old letter is no consent. What was left again stays so but for the owner, who
    proved that the mailbox is theirs: it may have been the stranger who left for them at first.
    """
    if left_at <= now() - UNDO_WITHIN:
        return []
    back = [
        subscription
        for subscription in _of_newsletter(session, subscriber_id, newsletter_id)
        if subscription.status is SubscriptionStatus.UNSUBSCRIBED
        and subscription.unsubscribed_at == left_at
        and (by_owner or not leavers.has_left_again(session, subscription))
    ]
    for subscription in back:
        resume(session, subscription, evidence)
    return back


def resume(session: Session, subscription: Subscription, evidence: Evidence) -> None:
    """A leaving is taken back: as it was before. Whether it may be is the caller's to know."""
    # Whoever had not confirmed before leaving still has not.
    was_active = not leavers.had_only_asked(session, subscription)
    _move(subscription, SubscriptionStatus.ACTIVE if was_active else SubscriptionStatus.PENDING)
    subscription.unsubscribed_at = leavers.left_before(session, subscription)
    witness(session, subscription, ConsentChange.RESUMED, evidence)


def has_any(session: Session, subscriber_id: int, newsletter_id: int) -> bool:
    """The person has a subscription to the newsletter that is not ended."""
    standing = _of_newsletter(session, subscriber_id, newsletter_id)
    return any(found.status is not SubscriptionStatus.UNSUBSCRIBED for found in standing)


def set_tracking_consent(
    session: Session, subscription: Subscription, consent: TrackingConsent, evidence: Evidence
) -> None:
    """Record what the person said about being tracked."""
    if subscription.tracking_consent is consent:
        return
    subscription.tracking_consent = consent
    if consent is not TrackingConsent.GRANTED:
        session.flush()  # first: whoever notes a hit looks at the consent
        engagement.forget(session, subscription.subscriber_id, subscription.list_id)
    if consent is not TrackingConsent.UNKNOWN:
        granted = consent is TrackingConsent.GRANTED
        change = ConsentChange.TRACKING_GRANTED if granted else ConsentChange.TRACKING_DENIED
        witness(session, subscription, change, evidence)


def set_pause(
    session: Session, subscription: Subscription, until: datetime | None, evidence: Evidence
) -> None:
    """No issue before `until`; None: every issue from now on."""
    subscription.paused_until = until
    change = ConsentChange.PAUSED if until else ConsentChange.UNPAUSED
    witness(session, subscription, change, evidence)


def find_subscription(session: Session, subscriber_id: int, list_id: int) -> Subscription | None:
    """The person's subscription on the list, whatever its status."""
    return session.scalar(
        select(Subscription).where(
            Subscription.subscriber_id == subscriber_id, Subscription.list_id == list_id
        )
    )


def _new(
    session: Session, person: Subscriber, to: SubscriberList, status: SubscriptionStatus
) -> Subscription:
    subscription = Subscription(subscriber_id=person.id, list_id=to.id, status=status)
    session.add(subscription)
    session.flush()
    return subscription


def _move(subscription: Subscription, to: SubscriptionStatus) -> None:
    assert to in STATUS_MOVES[subscription.status], (subscription.status, to)
    subscription.status = to


def _of_newsletter(
    session: Session, subscriber_id: int, newsletter_id: int
) -> Sequence[Subscription]:
    lock_people(session, [subscriber_id])
    return session.scalars(
        select(Subscription)
        .join(SubscriberList)
        .where(
            Subscription.subscriber_id == subscriber_id,
            SubscriberList.newsletter_id == newsletter_id,
        )
        .order_by(Subscription.list_id)  # as everybody takes them: nobody waits in a circle
        .with_for_update(of=Subscription)
        .execution_options(populate_existing=True)
    ).all()
