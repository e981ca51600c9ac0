"""How consent came about: written with every change, read when somebody asks."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from subscribers.models import ConsentChange, ConsentEvent, Subscription


@dataclass(frozen=True, slots=True)
class Evidence:
    """How a change came about.

    Attributes:
        method: a ConsentMethod, or another system's word.
        source: from where: a file and row, a page's address.
        wording: what the person agreed to, or the operator's statement.
        form: which form it was.
        ip: the visitor's.
        user_agent: the visitor's.
    """

    method: str
    source: str = ""
    wording: str = ""
    form: str = ""
    ip: str = ""
    user_agent: str = ""

    def to_columns(self) -> dict[str, str]:
        """As the columns of a ConsentEvent, none longer than there is room."""
        return {
            "method": self.method[:40],
            "source": self.source[:300],
            "wording": self.wording,
            "form": self.form[:80],
            "ip": self.ip[:45],
            "user_agent": self.user_agent[:300],
        }


def witness(
    session: Session, subscription: Subscription, change: ConsentChange, evidence: Evidence
) -> None:
    """Write down what changed, and how it came about."""
    session.add(
        ConsentEvent(
            subscriber_id=subscription.subscriber_id,
            list_id=subscription.list_id,
            change=change,
            **evidence.to_columns(),
        )
    )
    session.flush()


def consent_history(session: Session, subscriber_id: int) -> list[ConsentEvent]:
    """Every recorded change of the person's subscriptions, in order."""
    return list(
        session.scalars(
            select(ConsentEvent)
            .where(ConsentEvent.subscriber_id == subscriber_id)
            .order_by(ConsentEvent.id)
        )
    )
