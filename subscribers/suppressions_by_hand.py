"""Suppressions as people who work here see and change them: within what they may."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from newsletter.core.erasure_key import ErasureKey
from newsletter.core.errors import InputError, NotFoundError, RefusedError
from newsletter.core.sentences import say
from newsletter.mail.address import Address, AddressError
from subscribers.files.whole_files import csv_line
from subscribers.imports.bulk import take_turns
from subscribers.models import Subscriber, Suppression, SuppressionReason
from subscribers.suppressions import (
    SuppressionRow,
    erased_among,
    keys_of,
    parse_key,
    suppress_all,
)

GIVEN_REASONS = (SuppressionReason.MANUAL, SuppressionReason.GONE, SuppressionReason.COMPLAINT)
"""Those that a person can give."""
COLUMNS = ("key", "list", "reason", "source", "created_at")
_PAGE_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which suppressions.

    Attributes:
        list_ids: of these lists; EVERYWHERE among them: also those for every list.
        part: of the address or domain; a whole address also finds what covers it.
        erased: the key by which a whole address finds that its owner was erased.
    """

    list_ids: Sequence[int]
    part: str = ""
    reason: SuppressionReason | None = None
    erased: ErasureKey | None = None


def latest(
    session: Session, wanted: Wanted, *, before: int | None = None, most: int = 50
) -> Sequence[Suppression]:
    """The latest first; those before that id."""
    found = _found(wanted).order_by(Suppression.id.desc()).limit(most)
    return session.scalars(found if before is None else found.where(Suppression.id < before)).all()


def add(
    session: Session,
    key: str,
    list_ids: Sequence[int],
    reason: SuppressionReason,
    source: str,
    erased: ErasureKey | None,
) -> int:
    """Never mail whom this key stands for, for these lists; returns for how many this is new.

    Raises:
        InputError: the key is the hash of somebody erased, which no person writes down.
        RefusedError: who it is was erased.
    """
    if key.startswith("#"):
        raise InputError("address", say("expected an address, or @ and a domain"))
    take_turns(session)  # with who erases
    if not key.startswith("@") and erased_among(session, [key], erased):
        raise RefusedError(say("whoever has this address was erased: no mail gets to them already"))
    rows = [SuppressionRow(key, list_id, reason, source) for list_id in list_ids]
    return suppress_all(session, rows)


def lift(session: Session, suppression_id: int, *, is_sure: bool) -> Suppression:
    """Allow mail again and return what was lifted; subscribes nobody.

    Raises:
        NotFoundError: it is not there.
        RefusedError: it keeps mail from somebody who was erased, or who complained and nobody is
            sure that they take it back.
    """
    found = session.get(Suppression, suppression_id, with_for_update=True)
    if found is None:
        raise NotFoundError("suppression", suppression_id)
    if found.reason is SuppressionReason.ERASED:
        raise RefusedError(say("this person was erased: that cannot be taken back here"))
    if found.reason is SuppressionReason.COMPLAINT and not is_sure:
        raise RefusedError(say("this person complained: say that they want mail again"))
    session.delete(found)
    return found


def subscriber_of(session: Session, key: str) -> int | None:
    """Whom a key stands for, if they are known."""
    return session.scalar(select(Subscriber.id).where(Subscriber.address_key == key))


def exported(session: Session, wanted: Wanted, slugs: Mapping[int, str]) -> Iterator[str]:
    """All of them as lines of a CSV file that imports again, in the order they came."""
    yield csv_line(COLUMNS)
    after = 0
    while page := session.scalars(
        _found(wanted).where(Suppression.id > after).order_by(Suppression.id).limit(_PAGE_ROWS)
    ).all():
        for row in page:
            place = slugs.get(row.list_id, "")
            yield csv_line([row.key, place, row.reason, row.source, row.created_at.isoformat()])
        after = page[-1].id
        session.expunge_all()


def _found(wanted: Wanted) -> Select[Suppression]:
    found = select(Suppression).where(Suppression.list_id.in_(wanted.list_ids))
    if wanted.reason:
        found = found.where(Suppression.reason == wanted.reason)
    if not wanted.part:
        return found
    part = wanted.part.lower()
    has_part = Suppression.key.contains(part, autoescape=True)
    return found.where(or_(has_part, Suppression.key.in_(_covering(wanted))))


def _covering(wanted: Wanted) -> list[str]:
    """Of a whole address, or of a domain in any alphabet."""
    try:
        if wanted.part.startswith("@"):
            return [parse_key(wanted.part)]
        return keys_of(Address.parse(wanted.part), wanted.erased)
    except (AddressError, InputError):
        return []


def reason_named(text: str) -> SuppressionReason:
    """One of those that a person can give.

    Raises:
        InputError: it is another.
    """
    if text not in GIVEN_REASONS:
        raise InputError(
            "reason",
            say("expected one of %(reasons)s", reasons=", ".join(GIVEN_REASONS)),
        )
    return SuppressionReason(text)
