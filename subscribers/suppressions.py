"""Addresses that must not be mailed: add, lift, ask."""

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from subscribers.models import Suppression, SuppressionReason


def suppress(session: Session, address_key: str, *, reason: SuppressionReason, source: str) -> bool:
    """Never mail this address again; False when it is suppressed already (the first reason stays).

    `address_key` is `Address.key`; `source` says who or what asked for it.
    """
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    added = session.scalars(
        insert(Suppression)
        .values(address_key=address_key, reason=reason, source=source[:300])
        .on_conflict_do_nothing(index_elements=[Suppression.address_key])
        .returning(Suppression.id)
    )
    return added.one_or_none() is not None


def lift(session: Session, address_key: str) -> bool:
    """Allow mail to the address again; False when it was not suppressed."""
    lifted = session.scalars(
        delete(Suppression)
        .where(Suppression.address_key == address_key)
        .returning(Suppression.address_key)
    )
    return lifted.one_or_none() is not None


def is_suppressed(session: Session, address_key: str) -> bool:
    """Whether the address must not be mailed."""
    found = select(Suppression.id).where(Suppression.address_key == address_key)
    return session.scalar(found) is not None


def list_suppressions(session: Session) -> list[Suppression]:
    """All of them, in the order they came."""
    return list(session.scalars(select(Suppression).order_by(Suppression.id)))
