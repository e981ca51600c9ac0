"""Who leaves and who is put on a list at the same moment: they take turns, person by person.

Whoever changes where somebody stands takes that person's row first and their subscriptions behind
it, so that of two the second sees all that the first has done, and nobody waits in a circle. On
SQLite one writes at a time anyway.
"""

from collections.abc import Collection

from sqlalchemy import BigInteger, select
from sqlalchemy.orm import Session

from newsletter.core.given_rows import any_of
from subscribers.models import Subscriber


def lock_people(session: Session, people: Collection[int]) -> None:
    """Until the transaction ends, by id in order; whoever else wants one of them waits.

    Not their keys: evidence and subscriptions that others write refer to them.
    """
    dialect = session.get_bind().dialect.name
    if dialect != "postgresql":
        return
    asked = any_of(dialect, "ids", BigInteger())
    rows = (
        select(Subscriber.id)
        .join(asked, Subscriber.id == asked.c.value)
        .order_by(Subscriber.id)
        .with_for_update(of=Subscriber, key_share=True)
    )
    session.execute(rows, {"ids": list(people)})
