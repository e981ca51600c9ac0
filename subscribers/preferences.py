"""What a subscriber wants of one newsletter: which lists, how often, measured or not.

Whoever holds a link of a forwarded mail may only make less mail of it: leave, pause, deny. All
else is the owner's, who proved that the mailbox is theirs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from newsletter.core.clock import now
from newsletter.core.sentences import Sentence, say
from subscribers import subscriptions
from subscribers.days import first_moment, local_day
from subscribers.evidence import Evidence
from subscribers.models import (
    Subscriber,
    SubscriberList,
    Subscription,
    SubscriptionStatus,
    TrackingConsent,
)

A_MONTH = timedelta(days=30)


class Cadence(StrEnum):
    """How often issues come."""

    EVERY = "every"
    PAUSE = "pause"


CADENCES = {
    Cadence.EVERY: say("Every issue"),
    Cadence.PAUSE: say("A pause, until a day I choose"),
}
"""The one table of what may be chosen, and how the page says it; another way is another row."""

CONSENTS = {
    TrackingConsent.GRANTED: say("Yes, the editors may see what I open and which links I follow"),
    TrackingConsent.DENIED: say("No, nothing is measured in the mails that I get"),
}
"""What may be said about being tracked, in the words that are kept as evidence."""


@dataclass(frozen=True, slots=True)
class ListChoice:
    """One list of the newsletter; a list the person is not on is one they may join."""

    list_id: int
    name: str
    is_on: bool


@dataclass(frozen=True, slots=True)
class Preferences:
    """How things stand between a person and a newsletter.

    Attributes:
        paused_until: in the future, or None: every issue.
        consent: what holds for all lists; denied for one of them counts as denied.
    """

    lists: tuple[ListChoice, ...]
    paused_until: datetime | None
    consent: TrackingConsent

    @property
    def cadence(self) -> Cadence:
        return Cadence.PAUSE if self.paused_until else Cadence.EVERY

    @property
    def is_on_any(self) -> bool:
        return any(choice.is_on for choice in self.lists)


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for; None leaves things as they are.

    Attributes:
        lists: by id, whether to be on it; only of lists that the page showed.
        paused_until: for the cadence `pause`.
        shown: a sentence as the page showed it, for the evidence.
    """

    lists: Mapping[int, bool]
    cadence: Cadence | None = None
    paused_until: datetime | None = None
    consent: TrackingConsent | None = None
    shown: Callable[[Sentence], str] = str


@dataclass(frozen=True, slots=True)
class Changes:
    """What is different now: names of lists, the new cadence, the new consent.

    Attributes:
        left_at: the moment of leaving those that were left, by which it can be taken back.
    """

    left: Sequence[str] = ()
    joined: Sequence[str] = ()
    cadence: Cadence | None = None
    consent: TrackingConsent | None = None
    left_at: datetime | None = None

    def __bool__(self) -> bool:
        return bool(self.left or self.joined or self.cadence or self.consent)


def preferences(
    session: Session, subscriber_id: int, newsletter_id: int, *, by_owner: bool
) -> Preferences:
    """The lists they are on, and for the owner those they may join; cadence and consent."""
    standing = _active(session, subscriber_id, newsletter_id)
    lists = [ListChoice(found.list_id, found.list.name, is_on=True) for found in standing]
    if by_owner:
        lists += _to_join(session, newsletter_id, [choice.list_id for choice in lists])
    return Preferences(
        tuple(sorted(lists, key=lambda choice: choice.list_id)),
        max((until for found in standing if (until := _pause(found))), default=None),
        _consent(standing),
    )


def change(
    session: Session,
    person: Subscriber,
    newsletter_id: int,
    wish: Wish,
    evidence: Evidence,
    *,
    by_owner: bool,
) -> Changes:
    """Do what is asked; what only the owner may ask for is left alone for anybody else."""
    # Two who join at once would both add a row. Not the key: evidence that somebody else writes
    # for this person refers to it, and would wait for us with what we want next.
    session.refresh(person, with_for_update={"key_share": True})
    session.execute(_standing(person.id, newsletter_id).with_for_update(of=Subscription))
    left = _leave(session, person.id, newsletter_id, wish, evidence)
    joined = _join(session, person, newsletter_id, wish, evidence) if by_owner else []
    standing = _active(session, person.id, newsletter_id)
    paused = _set_cadence(session, standing, wish, evidence, by_owner=by_owner)
    consented = _set_consent(session, standing, wish, evidence, by_owner=by_owner)
    return Changes(
        [found.list.name for found in left],
        joined,
        wish.cadence if paused else None,
        wish.consent if consented else None,
        left[0].unsubscribed_at if left else None,
    )


def pause_for_a_month(
    session: Session, person: Subscriber, newsletter_id: int, evidence: Evidence
) -> date:
    """No issue of the newsletter before that day; a longer pause stays as it is."""
    day = local_day(now() + A_MONTH, person.time_zone)
    wish = Wish({}, Cadence.PAUSE, first_moment(day, person.time_zone))
    standing = _active(session, person.id, newsletter_id)
    _set_cadence(session, standing, wish, evidence, by_owner=False)
    until = max((until for found in standing if (until := _pause(found))), default=None)
    return local_day(until, person.time_zone) if until else day


def _active(session: Session, subscriber_id: int, newsletter_id: int) -> Sequence[Subscription]:
    return session.scalars(_standing(subscriber_id, newsletter_id)).all()


def _standing(subscriber_id: int, newsletter_id: int) -> Select[Subscription]:
    return (
        select(Subscription)
        .join(SubscriberList)
        .where(
            Subscription.subscriber_id == subscriber_id,
            Subscription.status == SubscriptionStatus.ACTIVE,
            SubscriberList.newsletter_id == newsletter_id,
        )
        .order_by(Subscription.list_id)
    )


def _to_join(session: Session, newsletter_id: int, on: Sequence[int]) -> list[ListChoice]:
    found = session.scalars(
        select(SubscriberList).where(
            SubscriberList.newsletter_id == newsletter_id,
            SubscriberList.is_public,
            SubscriberList.id.not_in(on),
        )
    )
    return [ListChoice(one.id, one.name, is_on=False) for one in found]


def _pause(subscription: Subscription) -> datetime | None:
    """Until when, if it is not over."""
    until = subscription.paused_until
    return until if until and until > now() else None


def _consent(standing: Sequence[Subscription]) -> TrackingConsent:
    said = {found.tracking_consent for found in standing}
    if TrackingConsent.DENIED in said:
        return TrackingConsent.DENIED
    return said.pop() if len(said) == 1 else TrackingConsent.UNKNOWN


def _leave(
    session: Session, subscriber_id: int, newsletter_id: int, wish: Wish, evidence: Evidence
) -> list[Subscription]:
    left_at = now()
    left = []
    for found in _active(session, subscriber_id, newsletter_id):
        if wish.lists.get(found.list_id) is False:
            subscriptions.end(session, found, evidence)
            found.unsubscribed_at = left_at  # one moment for all: `undo_leave` goes by it
            left.append(found)
    return left


def _join(
    session: Session, person: Subscriber, newsletter_id: int, wish: Wish, evidence: Evidence
) -> list[str]:
    """By the owner's link: the letter it came in has been their confirmation."""
    joined = []
    on = [found.list_id for found in _active(session, person.id, newsletter_id)]
    for choice in _to_join(session, newsletter_id, on):
        if wish.lists.get(choice.list_id):
            to = session.get_one(SubscriberList, choice.list_id)
            agreed = replace(evidence, wording=f"Get {to.name} by e-mail.")
            subscription = subscriptions.request(session, person, to, agreed)
            subscriptions.confirm(session, subscription, agreed)
            joined.append(to.name)
    return joined


def _set_cadence(
    session: Session,
    standing: Sequence[Subscription],
    wish: Wish,
    evidence: Evidence,
    *,
    by_owner: bool,
) -> bool:
    if wish.cadence is None:
        return False
    until = wish.paused_until if wish.cadence is Cadence.PAUSE else None
    shown = wish.shown(CADENCES[wish.cadence]) + (f": {until.isoformat()}" if until else "")
    different = [
        found
        for found in standing
        if _pause(found) != until and (by_owner or _is_longer(until, _pause(found)))
    ]
    for found in different:
        subscriptions.set_pause(session, found, until, replace(evidence, wording=shown))
    return bool(different)


def _is_longer(until: datetime | None, before: datetime | None) -> bool:
    return until is not None and until > (before or datetime.min.replace(tzinfo=UTC))


def _set_consent(
    session: Session,
    standing: Sequence[Subscription],
    wish: Wish,
    evidence: Evidence,
    *,
    by_owner: bool,
) -> bool:
    consent = wish.consent
    if consent not in CONSENTS or not (by_owner or consent is TrackingConsent.DENIED):
        return False
    different = [found for found in standing if found.tracking_consent is not consent]
    for found in different:
        said = replace(evidence, wording=wish.shown(CONSENTS[consent]))
        subscriptions.set_tracking_consent(session, found, consent, said)
    return bool(different)
