"""Indexes of the people whom saved segments are about: PostgreSQL has their ids at hand.

The database keeps them itself, in the transaction that changes somebody: what is counted by one
is as exact as what is counted without. See decision 0039.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import create_mock_engine, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from newsletter.core import logs
from newsletter.core.db import Sessions
from newsletter.core.errors import InputError
from subscribers.filters.language import parse
from subscribers.filters.sql import Surroundings, condition
from subscribers.filters.tree import All, Attribute, Compare, Exists, Field, Filter, Leaf, leaves
from subscribers.filters.writing import written
from subscribers.models import Segment

MOST_TERMS = 12
"""In all, of the segments made last: each more makes an import slower."""
_MOST_CHARACTERS = 500
"""Of one segment: PostgreSQL keeps the words of an index in one row, and that in one page."""
WORTH_PEOPLE = 50_000
"""Fewer are read through at once."""
_WAIT_SECONDS = 30
"""For transactions that began before; what takes longer is tried again the next time."""
_LASTING = (Field.DOMAIN, Field.LOCALE, Field.TIME_ZONE)
"""Fields that the person's row alone answers, tomorrow as today, and that name nobody."""
_NAME = "segment_[0-9a-f]{16}"
_THERE = text(
    "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
    "WHERE indrelid = 'subscribers'::regclass"
)
_PEOPLE = text("SELECT greatest(reltuples, 0) FROM pg_class WHERE oid = 'subscribers'::regclass")
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_POSTGRESQL = create_mock_engine("postgresql+psycopg://", lambda *_: None).dialect

log = logs.get(__name__)


def keep(
    sessions: Sessions,
    *,
    worth_people: int = WORTH_PEOPLE,
    stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Make the indexes that are missing, drop those that no segment asks for; none on SQLite.

    Nobody who reads or writes waits for it. One process at a time: two would wait for each other.

    Returns:
        Whether something changed; meanwhile there may be more to do. What failed is no change.

    Raises:
        DBAPIError: the database went away.
    """
    if sessions.dialect != "postgresql":
        return False
    with sessions.reading() as session:
        wanted = _wanted(session)
        there = _there(session)
        are_many = session.execute(_PEOPLE).scalar_one() >= worth_people
    kept = {name for name, is_valid in there.items() if is_valid and name in wanted}
    changes = [f"DROP INDEX CONCURRENTLY IF EXISTS {name}" for name in there.keys() - kept]
    if are_many:
        changes += [making for name, making in wanted.items() if name not in kept]
    return bool(changes) and _change(sessions, changes, stop)


def _change(sessions: Sessions, changes: Sequence[str], stop: Callable[[], bool]) -> bool:
    """One by one, each for itself: what fails is found as it is the next time."""
    went_well = True
    with sessions.at_once() as connection:
        connection.execute(text(f"SET lock_timeout = '{_WAIT_SECONDS}s'"))
        for change in changes:
            if stop():
                break
            try:
                connection.exec_driver_sql(change)
            except DBAPIError as error:
                if error.connection_invalidated:
                    raise
                log.warning("segment_index.failed", error=type(error.orig).__name__)
                went_well = False
        connection.execute(text("RESET lock_timeout"))
    return went_well


def has_one(session: Session, tree: Filter) -> bool:
    """Who is inside for good is at hand."""
    part = lasting_part(tree)
    if part is None or session.get_bind().dialect.name != "postgresql":
        return False
    return _there(session).get(_named(_written_out(part)), False)


def is_one(name: str) -> bool:
    """An index of that name is kept here."""
    return re.fullmatch(_NAME, name) is not None


def lasting_part(tree: Filter) -> Filter | None:
    """What of a filter an index can answer: the terms that hold of a person's row for good.

    Only terms that all have to hold are taken apart. None if there are none.
    """
    terms = tree.terms if isinstance(tree, All) else (tree,)
    kept = tuple(term for term in terms if all(map(_is_lasting, leaves(term))))
    return All(kept) if kept else None


def _is_lasting(term: Leaf) -> bool:
    """An address that is erased must not live on in an index's words: none ever gets there."""
    if not isinstance(term, Compare | Exists) or "@" in written(term):
        return False
    return isinstance(term.field, Attribute) or term.field in _LASTING


def _there(session: Session) -> Mapping[str, bool]:
    """The names of all, and which of them can be used."""
    return {name: is_valid for name, is_valid in session.execute(_THERE) if is_one(name)}


def _wanted(session: Session) -> Mapping[str, str]:
    """What makes each, by its name, which says what it holds."""
    found: dict[str, str] = {}
    room = MOST_TERMS
    for part in _lasting_parts(session):
        holds, terms = _written_out(part), _count_terms(part)
        name = _named(holds)
        if name not in found and terms <= room and len(written(part)) <= _MOST_CHARACTERS:
            found[name] = f"CREATE INDEX CONCURRENTLY {name} ON subscribers (id) WHERE {holds}"
            room -= terms
    return found


def _lasting_parts(session: Session) -> Iterator[Filter]:
    """Of all segments, those made last before others."""
    for saved in session.scalars(select(Segment.text).order_by(Segment.id.desc())):
        try:
            part = lasting_part(parse(saved))
        except InputError:  # of an earlier version: nobody can use it either
            continue
        if part is not None:
            yield part


def _count_terms(part: Filter) -> int:
    """Each value of `in` is one."""
    return sum(len(term.values) if isinstance(term, Compare) else 1 for term in leaves(part))


def _named(holds: str) -> str:
    return f"segment_{hashlib.sha256(holds.encode()).hexdigest()[:16]}"


def _written_out(part: Filter) -> str:
    """The condition as segments ask for it, with its values: an index takes no parameters."""
    about = Surroundings("postgresql", newsletter_id=None, list_ids={}, now=_NEVER)
    compiled = condition(part, about).compile(dialect=_POSTGRESQL)
    return compiled.string % {name: _harmless(value) for name, value in compiled.params.items()}


def _harmless(value: str | int) -> str:
    """Each character by its number: nothing that was typed stands in a statement."""
    if isinstance(value, str):
        return "U&'" + "".join(f"\\+{ord(character):06x}" for character in value) + "'"
    return str(value).lower()
