"""Whom nobody must mail: by address, by domain, by the keyed hash of an erased address."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, String, and_, delete, func, literal, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute, Session

from newsletter.core.clock import now
from newsletter.core.erasure_key import ErasureKey
from newsletter.core.errors import InputError
from newsletter.core.given_rows import any_of
from newsletter.core.sentences import say
from newsletter.mail.address import Address, AddressError
from subscribers.erased import check_key
from subscribers.models import EVERYWHERE, Subscriber, Suppression, SuppressionReason

_DOMAIN, _HASH = "@", "#"
_HASH_KEY = re.compile("#[0-9a-f]{64}")
_PAGE_ROWS = 1_000


def domain_suppression(domain: str) -> str:
    """The suppression key of everybody at exactly this domain, a lower-case A-label."""
    return _DOMAIN + domain


def erased_suppression(key: ErasureKey, address_key: str) -> str:
    """The suppression key of an erased address."""
    return _HASH + key.hashed(address_key)


def parse_key(text: str, *, place: str = "address") -> str:
    """The suppression key of what somebody wrote: an address, `@domain`, or the hash of an export.

    A domain is exactly that one, none below it; with letters of any alphabet.

    Raises:
        InputError: names `place` and what was expected.
    """
    text = text.strip()
    if text.startswith(_DOMAIN):
        return domain_suppression(_parsed_domain(text[1:], place))
    if text.startswith(_HASH):
        if _HASH_KEY.fullmatch(text):
            return text
        raise InputError(
            place, say("expected `#` and 64 hexadecimal digits, as an export has them")
        )
    return Address.parse(text, place=place).key


def _parsed_domain(text: str, place: str) -> str:
    """Judged as the domain of an address: what is none there is none here."""
    try:
        return Address.parse(f"postmaster@{text}", place=place).domain
    except AddressError:
        shown = text[:60]
        raise InputError(
            place, say("'@%(shown)s' is not a domain, such as @example.org", shown=shown)
        ) from None


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
    row = SuppressionRow(key, list_id, reason, source)
    return suppress_all(session, [row]) > 0


@dataclass(frozen=True, slots=True)
class SuppressionRow:
    """A suppression to be added; `key` and `source` as `suppress` has them."""

    key: str
    list_id: int
    reason: SuppressionReason
    source: str
    created_at: datetime = field(default_factory=now)

    def to_columns(self) -> dict[str, Any]:
        """As the columns of a Suppression."""
        return {**asdict(self), "source": self.source[:300]}


def suppress_all(session: Session, rows: Sequence[SuppressionRow]) -> int:
    """As `suppress`, for many; returns how many were not suppressed before."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    added = session.connection().execute(
        insert(Suppression)
        .on_conflict_do_nothing(index_elements=[Suppression.key, Suppression.list_id])
        .returning(Suppression.id),
        [row.to_columns() for row in rows],
    )
    return len(added.all())


def lift(session: Session, key: str, *, list_id: int = EVERYWHERE) -> bool:
    """Allow mail again; False when this very key was not suppressed."""
    lifted = session.scalars(
        delete(Suppression)
        .where(Suppression.key == key, Suppression.list_id == list_id)
        .returning(Suppression.key)
    )
    return lifted.one_or_none() is not None


def find(session: Session, key: str, list_id: int = EVERYWHERE) -> Suppression | None:
    """The suppression of this very key."""
    return session.scalar(
        select(Suppression).where(Suppression.key == key, Suppression.list_id == list_id)
    )


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


def all_covering(
    session: Session, address: Address, *, erased: ErasureKey | None
) -> Sequence[Suppression]:
    """Every suppression that keeps some mail from the address, of whatever list."""
    keys = keys_of(address, erased)
    return session.scalars(
        select(Suppression).where(Suppression.key.in_(keys)).order_by(Suppression.id)
    ).all()


def keys_of(address: Address, erased: ErasureKey | None) -> list[str]:
    """Every suppression key that the address can be covered by."""
    keys = [address.key, domain_suppression(address.domain)]
    if erased:
        keys.append(erased_suppression(erased, address.key))
    return keys


def standing_among(session: Session, keys: Iterable[str]) -> set[tuple[str, int]]:
    """(key, list id) of the suppressions with one of these keys."""
    if not _any(session):
        return set()
    asked = any_of(session.get_bind().dialect.name, "keys", String())
    found = select(Suppression.key, Suppression.list_id).join(
        asked, asked.c.value == Suppression.key
    )
    return {(key, list_id) for key, list_id in session.execute(found, {"keys": list(keys)})}


def _any(session: Session) -> bool:
    return session.scalar(select(Suppression.id).limit(1)) is not None


def erased_among(
    session: Session, address_keys: Iterable[str], erased: ErasureKey | None
) -> set[str]:
    """Those whose owners asked to be forgotten.

    Raises:
        RefusedError: by this key, or without one, nobody can tell.
    """
    check_key(session, erased)
    if not erased or not _any(session):
        return set()  # as on most days of most installations: no need to hash each address
    hashes = {erased_suppression(erased, key): key for key in address_keys}
    return {hashes[key] for key, _ in standing_among(session, hashes)}


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


def each_suppression(session: Session, list_id: int | None = None) -> Iterator[Suppression]:
    """All of them, or those of one list alone, in the order they came; read page by page."""
    after = 0
    while page := _page(session, list_id, after):
        yield from page
        after = page[-1].id


def count(session: Session, list_id: int | None = None) -> int:
    """How many `each_suppression` gives."""
    wanted = select(func.count()).select_from(Suppression)
    if list_id is not None:
        wanted = wanted.where(Suppression.list_id == list_id)
    return session.scalar(wanted) or 0


def _page(session: Session, list_id: int | None, after: int) -> Sequence[Suppression]:
    wanted = select(Suppression).where(Suppression.id > after)
    if list_id is not None:
        wanted = wanted.where(Suppression.list_id == list_id)
    rows = session.scalars(wanted.order_by(Suppression.id).limit(_PAGE_ROWS)).all()
    for row in rows:
        session.expunge(row)  # a million of them would stay in memory
    return rows
