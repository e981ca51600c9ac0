"""Two newsletters with people of their own and one in common, for what must stay apart."""

from dataclasses import dataclass

from sqlalchemy import select

from newsletter.accounts.models import AuditEvent
from newsletter.core.db import Sessions
from newsletter.issues.models import Newsletter
from newsletter.issues.newsletters import add_newsletter
from subscribers import lists, segments
from subscribers.models import Subscriber, Subscription
from tests import factories

ADA, BOB, CYD, DEE = (f"{name}@example.org" for name in ("ada", "bob", "cyd", "dee"))
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
