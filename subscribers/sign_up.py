"""Coming by a form: what a visitor asks for, and what the owner of the address confirms.

A visitor proves nothing. So what is typed changes nobody who is known, a suppressed address gets
no mail, and whoever left or was erased is back only by confirming.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from newsletter.core.clock import now
from newsletter.core.erasure_key import ErasureKey
from newsletter.core.sentences import Sentence, quoted, say
from newsletter.mail.address import Address
from subscribers import leavers, subscriptions, suppressions
from subscribers.erased import fits
from subscribers.evidence import Evidence
from subscribers.models import (
    ConsentChange,
    ConsentEvent,
    ConsentMethod,
    Subscriber,
    SubscriberList,
    Subscription,
    SubscriptionStatus,
)
from subscribers.sign_up_fields import NAME, SignUpField


class Standing(StrEnum):
    """Where somebody stands after signing up."""

    ASKED = "asked"
    """They have to confirm."""
    JOINED = "joined"
    """They are on the list from now on: it asks for no confirmation."""
    WAITING = "waiting"
    """They were asked before, and have not confirmed."""
    KNOWN = "known"
    """They were on the list already."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What came by the form.

    Attributes:
        answers: by key of the list's fields.
        evidence: how it came, and the exact sentence that was shown.
        language: of the page; their letter is in it, if they told us no other.
    """

    address: Address
    evidence: Evidence
    answers: Mapping[str, str] = field(default_factory=dict)
    language: str = ""


def fields_of(asked_by: SubscriberList) -> tuple[SignUpField, ...]:
    """What the list's form asks besides the address, in order."""
    return tuple(SignUpField.from_json(data) for data in asked_by.fields)


def wording_of(shown_by: SubscriberList, newsletter_name: str) -> Sentence:
    """The sentence that people agree to by sending the form."""
    return (
        quoted(shown_by.wording) if shown_by.wording else usual_wording(shown_by, newsletter_name)
    )


def usual_wording(shown_by: SubscriberList, newsletter_name: str) -> Sentence:
    """That sentence where nobody chose another."""
    return say(
        "I want to get %(newsletter)s (%(list)s) by e-mail. "
        "I can leave with one click at any time.",
        newsletter=newsletter_name,
        list=shown_by.name,
    )


def sign_up(
    session: Session, to: SubscriberList, wish: Wish, erased: ErasureKey | None
) -> tuple[Subscriber, Standing] | None:
    """Take a wish in: who it is and where they stand; None when a suppression forbids their mail.

    The person's row is locked until the transaction ends: of two at once the second finds what
    the first has done.
    """
    if suppressions.covering(session, wish.address, list_id=to.id, erased=None):
        return None
    person = locked(session, wish.address)
    if not to.confirms and _may_just_join(session, person, to, erased):
        subscriptions.subscribe(session, person, to, wish.evidence)
        _make_own(person, wish.answers)
        return person, Standing.JOINED
    standing = Standing.WAITING if is_asked(session, person, to) else Standing.ASKED
    subscription = subscriptions.request(session, person, to, wish.evidence)
    if subscription.status is SubscriptionStatus.ACTIVE:
        return person, Standing.KNOWN
    # Whoever types last may be a stranger, and the owner confirms without seeing it.
    if not any(subscription.answers.values()):
        subscription.answers = dict(wish.answers)
    return person, standing


def is_asked(session: Session, person: Subscriber, to: SubscriberList) -> bool:
    """They are to confirm already."""
    subscription = subscriptions.find_subscription(session, person.id, to.id)
    return subscription is not None and subscription.status is SubscriptionStatus.PENDING


def waiting(session: Session, subscriber_id: int, list_id: int) -> Subscription | None:
    """The person's subscription on the list, both rows locked; None when either is gone.

    Of the person not the key: evidence of who leaves meanwhile refers to it.
    """
    session.get(Subscriber, subscriber_id, with_for_update={"key_share": True})
    return session.scalar(
        select(Subscription)
        .where(Subscription.subscriber_id == subscriber_id, Subscription.list_id == list_id)
        .with_for_update(of=Subscription),
        execution_options={"populate_existing": True},
    )


def confirm(
    session: Session, subscription: Subscription, evidence: Evidence, erased: ErasureKey | None
) -> bool:
    """The owner of the address confirms; False when there was nothing to confirm (any more).

    What they typed is theirs from now on, and who was erased may be known again.
    """
    answers = subscription.answers
    if not subscriptions.confirm(session, subscription, evidence):
        return False
    person = subscription.subscriber
    _make_own(person, answers)
    if erased:
        suppressions.lift(session, suppressions.erased_suppression(erased, person.address_key))
    return True


def give_up(session: Session, subscription: Subscription) -> bool:
    """Nobody confirmed in time: the request goes; True when nothing of the subscription is left.

    Who had been on the list before and left it has left it still.
    """
    changes = session.scalars(
        select(ConsentEvent.change).where(
            ConsentEvent.subscriber_id == subscription.subscriber_id,
            ConsentEvent.list_id == subscription.list_id,
        )
    ).all()
    has_left = subscription.unsubscribed_at is not None  # an import may not know more of it
    if has_left or any(change is not ConsentChange.REQUESTED for change in changes):
        since = subscription.unsubscribed_at
        subscriptions.end(
            session, subscription, Evidence(ConsentMethod.RETENTION, wording="Not confirmed.")
        )
        subscription.unsubscribed_at = since or now()
        return False
    session.delete(subscription)  # and with it, in the database, its evidence
    session.flush()
    return True


def locked(session: Session, address: Address) -> Subscriber:
    """The person with this address, made if nobody has it, also by somebody else just now.

    Their row is locked until the transaction ends.
    """
    of_address = select(Subscriber).where(Subscriber.address_key == address.key)
    wanted = of_address.with_for_update(key_share=True)  # as `waiting` does
    if known := session.scalar(wanted):
        return known
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    session.execute(
        insert(Subscriber)
        .values(
            email=address.typed,
            address_key=address.key,
            domain_key=address.domain,
            name="",
            locale="",
            time_zone="",
            attributes={},
            created_at=now(),
        )
        .on_conflict_do_nothing(index_elements=[Subscriber.address_key])
    )
    return session.scalars(wanted).one()


def _may_just_join(
    session: Session, person: Subscriber, to: SubscriberList, erased: ErasureKey | None
) -> bool:
    """They were never on the list, did not leave its newsletter, and were not erased."""
    if subscriptions.find_subscription(session, person.id, to.id):
        return False
    if leavers.left_newsletter(session, person.id, to):
        return False
    address = Address.stored(person.email, person.address_key)
    if not fits(session, erased):
        return False  # nobody can tell whether they were erased; whoever confirms may be known
    return not (erased and suppressions.covering(session, address, erased=erased))


def _make_own(person: Subscriber, answers: Mapping[str, str]) -> None:
    """Answers become name and attributes where there are none: nobody saw what a stranger typed."""
    given = {key: text for key, text in answers.items() if text}
    name = given.pop(NAME, "")
    person.name = person.name or name
    person.attributes = {**given, **person.attributes}
