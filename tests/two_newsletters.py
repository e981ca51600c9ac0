"""Two newsletters with people of their own and one in common, for what must stay apart."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from newsletter.accounts.models import AuditEvent
from newsletter.broadcasts.models import Broadcast, Delivery, DeliveryState
from newsletter.core.db import Sessions
from newsletter.issues.models import Issue, Newsletter
from newsletter.issues.newsletters import add_newsletter
from newsletter.mail.address import Address
from newsletter.rendering.compiled import WireForm
from newsletter.tracking.models import Event, EventKind
from subscribers import lists, segments
from subscribers.models import Subscriber, Subscription
from tests import factories

ADA, BOB, CYD, DEE = (f"{name}@example.org" for name in ("ada", "bob", "cyd", "dee"))
AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
SECRET = "Rivals"
"""In the names of everything that is the other newsletter's."""


@dataclass(frozen=True)
class Two:
    """Ours has Mornings (Ada, Bob, Cyd) and Evenings (Ada); the other Rivals (Cyd, Dee)."""

    sessions: Sessions
    ours: int
    others: int
    mornings: int
    evenings: int
    rivals: int
    rivals_segment: int
    people: dict[str, int]

    def person(self, address: str) -> Subscriber:
        with self.sessions.reading() as session:
            return session.scalars(select(Subscriber).where(Subscriber.email == address)).one()

    def standing(self, address: str, list_id: int) -> Subscription | None:
        with self.sessions.reading() as session:
            return session.scalar(
                select(Subscription)
                .join(Subscriber)
                .where(Subscriber.email == address, Subscription.list_id == list_id)
            )

    def audit(self, action: str) -> list[AuditEvent]:
        with self.sessions.reading() as session:
            found = select(AuditEvent).where(AuditEvent.action == action).order_by(AuditEvent.id)
            return list(session.scalars(found))


def two_newsletters(sessions: Sessions, ours: int) -> Two:
    """Beside the newsletter `ours`."""
    with sessions.writing() as session:
        other = add_newsletter(session, Newsletter(slug="rivals", name=SECRET))
        session.flush()
        mornings = lists.create_list(session, "Mornings", ours)
        evenings = lists.create_list(session, "Evenings", ours)
        rivals = lists.create_list(session, f"{SECRET} daily", other.id)
        factories.subscribed(session, mornings, [ADA, BOB, CYD])
        factories.subscribed(session, evenings, [ADA])
        factories.subscribed(session, rivals, [CYD, DEE])
        saved = segments.save(session, rivals, f"{SECRET} paying", 'attributes.plan = "pro"')
        people = dict(session.execute(select(Subscriber.email, Subscriber.id)).all())
        return Two(sessions, ours, other.id, mornings.id, evenings.id, rivals.id, saved.id, people)


def mailed(two: Two, newsletter_id: int, address: str, subject: str, day: int = 1) -> int:
    """A delivery that a relay took, opened by a person and clicked by a machine; its broadcast."""
    with two.sessions.writing() as session:
        date = (AT + timedelta(days=day)).date()
        issue = Issue(newsletter_id=newsletter_id, date=date, subject=subject, source="")
        session.add(issue)
        session.flush()
        broadcast = Broadcast(issue_id=issue.id, start_at=AT, not_after=AT)
        session.add(broadcast)
        session.flush()
        delivery = Delivery(
            broadcast_id=broadcast.id,
            subscriber_id=two.people[address],
            list_id=two.mornings,
            address=address,
            address_key=Address.parse(address).key,
            domain_key="example.org",
            wire_form=WireForm.INDIVIDUAL,
            state=DeliveryState.ACCEPTED,
            due_at=AT,
            last_at=AT,
        )
        session.add(delivery)
        session.flush()
        for kind, agent, link in (
            (EventKind.OPEN, "Thunderbird", None),
            (EventKind.CLICK, "curl/8", 1),
        ):
            session.add(
                Event(
                    broadcast_id=broadcast.id,
                    delivery_id=delivery.id,
                    kind=kind,
                    link=link,
                    at=AT + timedelta(hours=1),
                    user_agent=agent,
                )
            )
        return broadcast.id


def page_of(two: Two, address: str) -> str:
    return f"/subscribers/{two.people[address]}"
