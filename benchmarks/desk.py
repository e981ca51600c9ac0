"""The chapter about the desk: each page beside a million people and 300 broadcasts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager

from pydantic import SecretStr

from benchmarks.desk_pages import (
    REFERENCE,
    Answered,
    Browser,
    Question,
    Questions,
    asked_in_turn,
    questions,
)
from benchmarks.engine import Database
from benchmarks.history import history
from benchmarks.interleaved import say
from benchmarks.ledger import DATABASES
from benchmarks.mails import KEYS
from benchmarks.million import million
from benchmarks.page import Chapter, Target, plans_list, shown_time, table
from benchmarks.plans import plan_of
from benchmarks.sending import Scale
from newsletter.core.runtime import Runtime
from newsletter.core.sections import RelaySettings
from newsletter.web.app import create_app
from subscribers import segment_indexes
from tests import factories
from tests.servers.web import serving_app

PAGE_SECONDS = 0.2
SHOWN_SECONDS = 0.05
"""Of a page's slowest statement, from which on its plan is shown."""
BROADCASTS, FEWEST_BROADCASTS = 300, 20
_MILLION = 1_000_000
_RELAY = RelaySettings(name="main", url=SecretStr("smtp://relay.example:25?tls=none"))
_HEAD = ("", "PostgreSQL", "ratio", "statements", "SQLite")

_Found = Mapping[str, Answered]
Plans = Mapping[str, str]


def pages(scale: Scale) -> Chapter:
    """Every page, and what belongs to pages, on both databases."""
    broadcasts = max(BROADCASTS * scale.million // _MILLION, FEWEST_BROADCASTS)
    found: dict[str, _Found] = {}
    shown: Plans = {}
    for name, opened in DATABASES.items():
        say(f"  {name}: {scale.million:,} people, {broadcasts} broadcasts")
        asked, found[name], plans = _measured(opened, scale, broadcasts)
        if name == "PostgreSQL":
            shown = plans
    said = f"""\
{scale.million:,} subscribers on three lists, {broadcasts} broadcasts of {scale.million // 500:,}
recipients, one more of {scale.million // 5:,}, and one of as many that is under way; a third opened
it, and the audit trail has {200 * 365 * scale.million // _MILLION:,} rows. An admin asks for each
page in turn, over HTTP; times are medians of {scale.rounds} rounds until the whole page is there,
ratios are to the login page. SQLite's are for information. Where a statement takes more than
{SHOWN_SECONDS * 1e3:.0f} ms, its plan on PostgreSQL stands below. A search that has to read
everybody is a page at once, and asks for whom it finds: that part says
`patiently=1`.{_without(asked)}"""
    lines = [
        *table(_HEAD, _rows(asked.pages, found)),
        "",
        "What is put into a page, follows it or is kept as a file; a page does not wait for it:",
        "",
        *table(_HEAD, _rows(asked.parts, found)),
        "",
        *plans_list(shown),
    ]
    return Chapter("The desk's pages", said, lines, _targets(asked.pages, found["PostgreSQL"]))


def _without(asked: Questions) -> str:
    return f" Not asked for: {', '.join(asked.left_out)}." if asked.left_out else ""


def _measured(
    opened: Callable[[], AbstractContextManager[Database]], scale: Scale, broadcasts: int
) -> tuple[Questions, _Found, Plans]:
    with opened() as database:
        with serving(database, scale.million, broadcasts) as (browser, asked):
            every = [Question(REFERENCE), *asked.pages, *asked.parts]
            found = asked_in_turn(database.sessions, browser, every, scale.rounds)
        return asked, found, _plans(database, found)


@contextmanager
def serving(
    database: Database, people: int, broadcasts: int
) -> Iterator[tuple[Browser, Questions]]:
    """The desk of a newsletter with that past, a browser of it, and what it can ask for."""
    lists = million(database.sessions, people)
    past = history(database.sessions, lists, people, broadcasts)
    segment_indexes.keep(database.sessions)
    runtime = Runtime(factories.settings(relays=(_RELAY,)), database.sessions, KEYS)
    with (
        serving_app(create_app(runtime)) as base,
        closing(Browser(base, past.secret)) as browser,
    ):
        yield browser, questions(browser, past, people)


def _plans(database: Database, found: _Found) -> Plans:
    """Of slow statements."""
    return {
        f"{name}, {shown_time(slowest.seconds)}": plan_of(
            database.sessions, slowest.text, slowest.parameters
        )
        for name, answered in found.items()
        if (slowest := answered.slowest) and slowest.seconds > SHOWN_SECONDS
    }


def _rows(asked: Sequence[Question], found: Mapping[str, _Found]) -> list[list[str]]:
    """The slowest first."""
    large, small = found["PostgreSQL"], found["SQLite"]
    reference = large[str(Question(REFERENCE))].seconds
    names = sorted({str(question) for question in asked}, key=lambda name: -large[name].seconds)
    return [
        [
            name,
            shown_time(large[name].seconds),
            f"{large[name].seconds / reference:,.2f}",
            f"{large[name].statements}",
            shown_time(small[name].seconds),
        ]
        for name in names
    ]


def _targets(asked: Sequence[Question], found: _Found) -> list[Target]:
    """The slowest page, and whichever other is too slow."""
    slowest_first = sorted({str(question) for question in asked}, key=lambda n: -found[n].seconds)
    return [
        Target(
            f"PostgreSQL: {name}" + (f", the slowest of {len(slowest_first)} pages" * (not place)),
            PAGE_SECONDS * 1e3,
            found[name].seconds * 1e3,
            at_most=True,
            unit=" ms",
        )
        for place, name in enumerate(slowest_first)
        if not place or found[name].seconds > PAGE_SECONDS
    ]
