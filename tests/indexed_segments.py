"""A crowd whose saved segments have indexes, whatever their size: made at once, and looked into."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import select, text

from newsletter.core.db import Sessions
from subscribers import segment_indexes, segments
from subscribers.filters.sql import Surroundings, condition
from subscribers.filters.tree import Filter
from subscribers.filters.writing import written
from subscribers.models import Subscriber, SubscriberList
from tests import segment_people
from tests.segment_evaluator import Person, matches
from tests.segment_people import NOW

PRO = 'attributes.plan = "pro"'

Crowd = tuple[SubscriberList, list[Person]]


@contextmanager
def gathered(sessions: Sessions) -> Iterator[Crowd]:
    """With no index left behind: other tests use the database after us."""
    with sessions.writing() as session:
        made = segment_people.insert(session)
    yield made
    saved(sessions, made)


def saved(sessions: Sessions, crowd: Crowd, *texts: str) -> None:
    """These are all the segments there are, the last made last, and what is due is done."""
    with sessions.writing() as session:
        for old in segments.list_segments(session):
            segments.forget(session, old)
        for number, said in enumerate(texts):
            segments.save(session, crowd[0], f"Segment {number}", said)
    segment_indexes.keep(sessions, worth_people=0)


def there(sessions: Sessions) -> dict[str, bool]:
    """Every index of people, and whether it can be used."""
    asked = "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = "
    with sessions.reading() as session:
        found = session.execute(text(asked + "'subscribers'::regclass"))
        return {name: valid for name, valid in found if segment_indexes.is_one(name)}


def by_index(sessions: Sessions, tree: Filter) -> set[int]:
    """Who is inside, as an index says; it is not asked again whether they are."""
    about = Surroundings("postgresql", None, {}, NOW)
    asked = select(Subscriber.id).where(condition(tree, about))
    with sessions.reading() as session:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        session.execute(text("SET LOCAL enable_bitmapscan = off"))
        compiled = asked.compile(dialect=sessions.engine.dialect)
        plan = session.connection().exec_driver_sql(f"EXPLAIN {compiled}", compiled.params)
        steps = "\n".join(step for (step,) in plan)
        if "One-Time Filter: false" not in steps:  # PostgreSQL saw that nobody can be inside
            assert "using segment_" in steps, f"{written(tree)}\n{steps}"
            assert "Filter" not in steps
        return set(session.scalars(asked))


def inside(crowd: Crowd, tree: Filter) -> set[int]:
    return {person.id for person in crowd[1] if matches(tree, person, NOW)}
