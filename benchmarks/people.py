"""The chapter about a million people: pages, searches, counts and segments, with their plans."""

import time
from collections.abc import Callable, Mapping
from statistics import median

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from benchmarks.engine import Database
from benchmarks.interleaved import say
from benchmarks.ledger import DATABASES
from benchmarks.million import Lists, million
from benchmarks.page import Chapter, Target, plans_list, shown_time, table
from benchmarks.plans import plan_of, statements
from benchmarks.sending import Scale
from newsletter.core.db import Sessions
from subscribers import directory, segments
from subscribers.audience import count_audience
from subscribers.directory import Search
from subscribers.filters.language import parse
from subscribers.models import Subscriber, Subscription, SubscriptionStatus

QUERY_SECONDS = 0.2
REFERENCE = "count(*) of the largest list"
SEGMENTS = (
    'status = active and attributes.plan = "pro"',
    'tag = "vip"',
    "attributes.score > 900",
    "opened_within(30d)",
    "sample(10%)",
    'status = active and attributes.plan = "pro" and clicked_within(30d)',
)

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
comparison. Segments are counted on the largest list, by status. The plans below are PostgreSQL's
steps from the top, and SQLite's in their order."""
    lines = [*table(["", "query", "time", "ratio"], rows), "", *plans_list(plans)]
    return Chapter("A million people", said, lines, targets)


def _share(tenths: int) -> str:
    return f"{tenths * 10} %"


def _is_ours(query: str) -> bool:
    """A page, a search or the count of a segment or status."""
    return query != REFERENCE and "OFFSET" not in query and "audience" not in query


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
        "count of a status": lambda session: directory.count(
            session, Search(weekly.id, SubscriptionStatus.ACTIVE)
        ),
        **{f"count `{text}`": _count(lists, text) for text in SEGMENTS},
        "count of an audience, all lists": lambda session: count_audience(
            session, [weekly.id, lists.daily.id, monthly.id]
        ),
    }


def _page(search: Search, after: int) -> Query:
    return lambda session: directory.page(session, search, after=after)


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
    """The steps of the last statement that the query runs."""
    with statements(sessions) as ran, sessions.reading() as session:
        query(session)
    return plan_of(sessions, ran[-1].text, ran[-1].parameters)
