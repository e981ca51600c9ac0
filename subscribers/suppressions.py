"""Whom nobody must mail: by address, by domain, by the keyed hash of an erased address."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, String, and_, delete, func, literal, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute, Session

from newsletter.core.erasure_key import ErasureKey
from newsletter.core.given_rows import any_of
from newsletter.mail.address import Address
from subscribers.models import EVERYWHERE, Subscriber, Suppression, SuppressionReason

_DOMAIN, _HASH = "@", "#"


def domain_suppression(domain: str) -> str:
    """The suppression key of everybody at exactly this domain, a lower-case A-label."""
    return _DOMAIN + domain


def erased_suppression(key: ErasureKey, address_key: str) -> str:
    """The suppression key of an erased address."""
    return _HASH + key.hashed(address_key)


def suppress(
    session: Session,
    key: str,
    *,
    reason: SuppressionReason,
    source: str,
    list_id: int = EVERYWHERE,
) -> bool:
    """Never mail whom this key stands for; False when it is so already (the first reason stays).

    `key` is `Address.key`, `domain_suppression(…)` or `erased_suppression(…)`; `source` says who or
    what asked for it.
    """
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    added = session.scalars(
        insert(Suppression)
        .values(key=key, list_id=list_id, reason=reason, source=source[:300])
        .on_conflict_do_nothing(index_elements=[Suppression.key, Suppression.list_id])
        .returning(Suppression.id)
    )
    return added.one_or_none() is not None


def lift(session: Session, key: str, *, list_id: int = EVERYWHERE) -> bool:
    """Allow mail again; False when this very key was not suppressed."""
    lifted = session.scalars(
        delete(Suppression)
        .where(Suppression.key == key, Suppression.list_id == list_id)
        .returning(Suppression.key)
    )
    return lifted.one_or_none() is not None


def covering(
    session: Session, address: Address, *, list_id: int = EVERYWHERE, erased: ErasureKey | None
) -> Suppression | None:
    """The first suppression that keeps mail for this list, or any list, from the address.

    Without the key that hashes, erased people are not recognised.
    """
    return session.scalar(
        select(Suppression)
        .where(
            Suppression.key.in_(keys_of(address, erased)),
            Suppression.list_id.in_([EVERYWHERE, list_id]),
        )
        .order_by(Suppression.id)
        .limit(1)
    )


def keys_of(address: Address, erased: ErasureKey | None) -> list[str]:
    """Every suppression key that the address can be covered by."""
    keys = [address.key, domain_suppression(address.domain)]
    if erased:
        keys.append(erased_suppression(erased, address.key))
    return keys


def standing_among(session: Session, keys: Iterable[str]) -> set[tuple[str, int]]:
    """(key, list id) of the suppressions with one of these keys."""
    if session.scalar(select(Suppression.id).limit(1)) is None:
        return set()  # as on most days of most installations: no need to ask for each
    asked = any_of(session.get_bind().dialect.name, "keys", String())
    found = select(Suppression.key, Suppression.list_id).join(
        asked, asked.c.value == Suppression.key
    )
    return {(key, list_id) for key, list_id in session.execute(found, {"keys": list(keys)})}


def erased_among(
    session: Session, addresses: Collection[Address], erased: ErasureKey | None
) -> set[str]:
    """The address keys of those whose owners asked to be forgotten."""
    if not erased:
        return set()
    hashes = {erased_suppression(erased, address.key): address.key for address in addresses}
    return {hashes[key] for key, _ in standing_among(session, hashes)}


def suppress_many(session: Session, values: Sequence[Mapping[str, Any]]) -> None:
    """Add suppressions, each the values of its columns; those that stand already stay."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    session.execute(insert(Suppression).on_conflict_do_nothing(), values)


def is_suppressed(session: Session, address_key: str) -> bool:
    """Whether the address must not be mailed for any list: by itself or by its domain."""
    address = Address.stored(address_key, address_key)
    return covering(session, address, erased=None) is not None


def suppresses(
    address_key: ColumnElement[str] | InstrumentedAttribute[str],
    domain_key: ColumnElement[str] | InstrumentedAttribute[str],
    list_id: ColumnElement[int] | InstrumentedAttribute[int] | None = None,
) -> ColumnElement[bool]:
    """Of a Suppression: it covers a row with these keys, for its list or everywhere."""
    everywhere = Suppression.list_id == EVERYWHERE
    return and_(
        Suppression.key.in_([address_key, literal(_DOMAIN).concat(domain_key)]),
        everywhere if list_id is None else or_(everywhere, Suppression.list_id == list_id),
    )


COVERS_PERSON = (
    Suppression.key == Subscriber.address_key,
    and_(
        Suppression.key.startswith(_DOMAIN),
        Subscriber.domain_key == func.substr(Suppression.key, 2),
    ),
)
"""The ways in which a Suppression covers a Subscriber, each a join along an index."""


def list_suppressions(session: Session) -> list[Suppression]:
    """All of them, in the order they came."""
    return list(session.scalars(select(Suppression).order_by(Suppression.id)))
