"""Filters that may still name somebody by a part of their address, or by their name.

Erasing leaves them as they are, for nobody knows whom they are about: whoever erases is told.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from newsletter.broadcasts.models import Broadcast
from newsletter.core.errors import InputError
from newsletter.issues.models import Issue
from newsletter.mail.address import Address
from subscribers.filters.language import parse
from subscribers.filters.tree import Compare, Field, Leaf, leaves
from subscribers.filters.writing import written
from subscribers.models import Segment, SubscriberList

_ENOUGH_LETTERS = 3
"""Of a local part or a name: fewer are of half the world."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A filter, and what in it may be about the person.

    Attributes:
        name: what the segment is called; empty for a broadcast's.
    """

    broadcast_id: int | None
    segment_id: int | None
    name: str
    term: str


def find_mentions(
    session: Session, address: Address, name: str, newsletter_id: int | None = None
) -> list[Mention]:
    """In saved segments and in broadcasts, of one newsletter or of all."""
    found = []
    for broadcast_id, segment_id, called, text in _filters(session, newsletter_id):
        terms = dict.fromkeys(
            written(term) for term in _leaves(text) if _may_name(term, address, name)
        )
        found += [Mention(broadcast_id, segment_id, called, term) for term in terms]
    return found


def _filters(
    session: Session, newsletter_id: int | None
) -> Iterator[tuple[int | None, int | None, str, str]]:
    saved: Select[int, str, str] = select(Segment.id, Segment.name, Segment.text)
    sent: Select[int, str] = select(Broadcast.id, Broadcast.segment).where(Broadcast.segment != "")
    if newsletter_id is not None:
        of_list = SubscriberList.newsletter_id == newsletter_id
        saved = saved.join(SubscriberList, SubscriberList.id == Segment.list_id).where(of_list)
        of_issue = Issue.newsletter_id == newsletter_id
        sent = sent.join(Issue, Issue.id == Broadcast.issue_id).where(of_issue)
    for number, called, text in session.execute(saved.order_by(Segment.id)):
        yield None, number, called, text
    for number, text in session.execute(sent.order_by(Broadcast.id)):
        yield number, None, "", text


def _leaves(text: str) -> Iterator[Leaf]:
    try:
        yield from leaves(parse(text))
    except InputError:  # of an earlier version: nobody can use it either
        return


def _may_name(term: Leaf, address: Address, name: str) -> bool:
    if not isinstance(term, Compare) or term.field not in (Field.EMAIL, Field.NAME):
        return False
    values = [str(value).strip().casefold() for value in term.values]
    if term.field is Field.NAME:
        return any(_is_of_name(value, name.casefold()) for value in values)
    return any(_is_of_address(value, address) for value in values)


def _is_of_name(value: str, name: str) -> bool:
    return len(value) >= min(_ENOUGH_LETTERS, len(name)) > 0 and value in name


def _is_of_address(value: str, address: Address) -> bool:
    """A part of it that has enough of what is theirs, before the `@`; the whole is replaced."""
    for spelling in {address.key, address.typed.casefold()}:
        local_part = spelling.rpartition("@")[0]
        begin = spelling.find(value)
        theirs = min(begin + len(value), len(local_part)) - begin
        if begin >= 0 and theirs >= min(_ENOUGH_LETTERS, len(local_part)) and value != spelling:
            return True
    return False
