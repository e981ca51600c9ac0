"""The chapter about a million people: pages, searches, counts and segments, with their plans."""

import time
from collections.abc import Callable, Mapping
from statistics import median

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from benchmarks.engine import Database
from benchmarks.interleaved import say
from benchmarks.ledger import DATABASES
from benchmarks.million import Lists, million
from benchmarks.page import Chapter, Target, plans_list, shown_time, table
from benchmarks.plans import plan_of, statements
from benchmarks.sending import Scale
from newsletter.core.db import Sessions
from subscribers import directory, segment_indexes, segments
from subscribers.audience import count_audience
from subscribers.directory import Search
from subscribers.filters.language import parse
from subscribers.models import Subscriber, Subscription, SubscriptionStatus

QUERY_SECONDS = 0.2
REFERENCE = "count(*) of the largest list"
RARE = "attributes.score > 998"
SEGMENTS = (
    'status = active and attributes.plan = "pro"',
    'attributes.plan = "free"',
    'tag = "vip"',
    "attributes.score > 900",
    RARE,
    "opened_within(30d)",
    "sample(10%)",
    'status = active and attributes.plan = "pro" and clicked_within(30d)',
)

UNSAVED = ('status = active and attributes.plan = "team"', "attributes.score > 899")
"""As many as two of the others, or a hundred more; without an index of their own."""

Query = Callable[[Session], object]


def people(scale: Scale) -> Chapter:
    """Everything an editor looks at, on both databases."""
    rows: list[list[str]] = []
    plans: dict[str, str] = {}
    targets: list[Target] = []
    for name, opened in DATABASES.items():
        with opened() as database:
            say(f"  {name}: {scale.million:,} people")
            lists = million(database.sessions, scale.million)
            _save(database.sessions, lists)
            found = _measured(database, _queries(lists, scale.million), scale.rounds)
            for query, seconds in found.items():
                ratio = f"{seconds / found[REFERENCE]:,.2f}"
                rows.append([name, query, shown_time(seconds), ratio])
                asked = _queries(lists, scale.million)[query]
                plans[f"{name}, {query}"] = _plan(database.sessions, asked)
        if name == "PostgreSQL":
            targets = [
                _target(query, seconds) for query, seconds in found.items() if _is_ours(query)
            ]
    said = f"""\
{scale.million:,} subscribers with five attributes on three lists, of {_share(5)}, {_share(4)} and
{_share(3)} of them; every fifth is on two. Times are medians of {scale.rounds} rounds, and the
ratio is to `{REFERENCE}` on the same database. What others do with OFFSET stands below it for
comparison. Segments are counted on the largest list, by status. They are saved ones, which have an
index on PostgreSQL if they ask something that lasts of people (decision 0039); what a filter takes
that was just typed stands beside them as "not saved", and has no target. The plans below are
PostgreSQL's steps from the top, and SQLite's in their order."""
    lines = [*table(["", "query", "time", "ratio"], rows), "", *plans_list(plans)]
    return Chapter("A million people", said, lines, targets)


def _share(tenths: int) -> str:
    return f"{tenths * 10} %"


def _is_ours(query: str) -> bool:
    """A page, a search or the count of a status or of a saved segment."""
    return not any(part in query for part in (REFERENCE, "OFFSET", "audience", "not saved"))


def _target(query: str, seconds: float) -> Target:
    name = f"PostgreSQL: {query}"
    return Target(name, QUERY_SECONDS * 1e3, seconds * 1e3, at_most=True, unit=" ms")


def _queries(lists: Lists, size: int) -> dict[str, Query]:
    weekly, monthly, late = lists.weekly, lists.monthly, size - 100
    pages: dict[str, Search] = {
        "a late page": Search(),
        "a late page of a list": Search(monthly.id),
        "a late page of a list, pending": Search(monthly.id, SubscriptionStatus.PENDING),
    }
    searches = {
        "frequent": Search(part="porter"),
        "rare": Search(part="-777777@"),
        "nobody's": Search(part="nobody.here"),
        "rare, on a list": Search(monthly.id, part="-777775@"),
    }
    return {
        REFERENCE: lambda session: session.scalar(
            select(func.count()).where(Subscription.list_id == weekly.id)
        ),
        "a late page by OFFSET": lambda session: session.scalars(
            select(Subscriber).order_by(Subscriber.id).offset(late).limit(50)
        ).all(),
        "first page": lambda session: directory.page(session, Search()),
        **{name: _page(search, late) for name, search in pages.items()},
        **{f"search, {name}": _page(search, 0) for name, search in searches.items()},
        f"a page of `{RARE}`": lambda session: directory.page(
            session, Search(weekly.id, inside=_inside(session, lists, RARE))
        ),
        "count of a status": lambda session: directory.count(
            session, Search(weekly.id, SubscriptionStatus.ACTIVE)
        ),
        **{f"count `{text}`": _count(lists, text) for text in SEGMENTS},
        **{f"count `{text}`, not saved": _count(lists, text) for text in UNSAVED},
        "count of an audience, all lists": lambda session: count_audience(
            session, [weekly.id, lists.daily.id, monthly.id]
        ),
    }


def _save(sessions: Sessions, lists: Lists) -> None:
    with sessions.writing() as session:
        on = session.merge(lists.weekly)
        for number, text in enumerate(SEGMENTS):
            segments.save(session, on, f"Segment {number}", text)
    segment_indexes.keep(sessions, worth_people=0)


def _page(search: Search, after: int) -> Query:
    return lambda session: directory.page(session, search, after=after)


def _inside(session: Session, lists: Lists, text: str) -> ColumnElement[bool]:
    return segments.condition(session, parse(text), lists.weekly.newsletter_id)


def _count(lists: Lists, text: str) -> Query:
    return lambda session: segments.count(session, lists.weekly, parse(text))


def _measured(database: Database, queries: Mapping[str, Query], rounds: int) -> dict[str, float]:
    """Queries take turns, after a round that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in queries}
    for number in range(rounds + 1):
        for name, query in queries.items():
            began = time.perf_counter()
            with database.sessions.reading() as session:
                query(session)
            if number:
                taken[name].append(time.perf_counter() - began)
    for name, seconds in taken.items():
        say(f"  {name}: {shown_time(median(seconds))}")
    return {name: median(seconds) for name, seconds in taken.items()}


def _plan(sessions: Sessions, query: Query) -> str:
    """The steps of the slowest statement that the query runs, with the settings it makes."""
    with statements(sessions) as ran, sessions.reading() as session:
        query(session)
    slowest = max(ran, key=lambda statement: statement.seconds)
    settings = [statement for statement in ran if "set_config" in statement.text]
    return plan_of(sessions, slowest.text, slowest.parameters, settings)
