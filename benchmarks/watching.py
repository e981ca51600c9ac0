"""The chapter about the live page: what it costs database and sender while mail goes out."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import httpx2

from benchmarks import mails
from benchmarks.engine import Audience, Database, Worker, drain, on_postgresql, worker
from benchmarks.interleaved import Sample, compete
from benchmarks.mails import KEYS, MadeMail
from benchmarks.page import Chapter, Target, results_table, shown_time, table
from benchmarks.plans import Statement, statements
from benchmarks.sending import LARGE, Scale
from newsletter.accounts import seats, users
from newsletter.accounts.permissions import Role
from newsletter.core.db import connect
from newsletter.core.runtime import Runtime
from newsletter.mail.address import Address
from newsletter.web.app import create_app
from tests import factories
from tests.desk import hashed_password
from tests.servers import processes
from tests.servers.web import serving_app

WATCHERS = 20
MOST_SHARE = 1
"""In hundredths of the time that the sending takes."""
_ROUNDS = 3
_PATIENCE_SECONDS = 120
_ALONE, _WATCHED = "nobody watches", f"{WATCHERS} people watch"


@dataclass(frozen=True, slots=True)
class Watched:
    """What those who watch took of the database in one round.

    Attributes:
        opening: when they opened the page, before anything was sent.
        looking: while the mail went out.
        seconds: how long that was.
    """

    opening: Sequence[Statement]
    looking: Sequence[Statement]
    seconds: float

    @property
    def share(self) -> float:
        """The looks, in hundredths of the time."""
        return _seconds(self.looking) / self.seconds * 100


@dataclass(slots=True)
class Race:
    """One worker, one audience, and a desk whose live page is watched or is not."""

    audience: Audience
    sender: Worker
    made: MadeMail
    base: str
    runtime: Runtime
    secret: str
    watchers: int = WATCHERS
    found: list[Watched] = field(default_factory=list)

    def alone(self) -> Sample:
        """Nobody watches."""
        return drain([self.sender], self.audience, self.audience.broadcast(self.made))

    def watched(self) -> Sample:
        """From before the first mail until the page says that it is over."""
        number = self.audience.broadcast(self.made)
        with statements(self.runtime.sessions) as ran, self._watching(number):
            opened = len(ran)
            began = time.perf_counter()
            sample = drain([self.sender], self.audience, number)
            seconds = time.perf_counter() - began
        self.found.append(Watched(ran[:opened], ran[opened:], seconds))
        return sample

    @contextmanager
    def _watching(self, broadcast_id: int) -> Iterator[None]:
        """Everybody sees the page before the block begins, and how it ends after it."""
        all_there = threading.Barrier(self.watchers + 1)
        watch = partial(self._watch, broadcast_id, all_there)
        watchers = [threading.Thread(target=watch) for _ in range(self.watchers)]
        for each in watchers:
            each.start()
        all_there.wait(_PATIENCE_SECONDS)
        yield
        for each in watchers:
            each.join(_PATIENCE_SECONDS)
        if any(each.is_alive() for each in watchers):
            raise SystemExit("the run does not count: the live page does not end")

    def _watch(self, broadcast_id: int, all_there: threading.Barrier) -> None:
        """As a browser: the page, then its stream until it says `over`."""
        page = f"/broadcasts/{broadcast_id}"
        with httpx2.Client(base_url=self.base, timeout=_PATIENCE_SECONDS) as browser:
            browser.cookies.set("desk", self.secret)
            browser.get(page).raise_for_status()
            with browser.stream("GET", f"{page}/stream") as stream:
                is_first = True
                for line in stream.iter_lines():
                    if is_first and line.startswith("event:"):
                        is_first = False
                        all_there.wait(_PATIENCE_SECONDS)
                    if line == "event: over":
                        return


def watching(scale: Scale) -> Chapter:
    """A broadcast watched and not watched, in turn."""
    people = scale.million // 20
    made = mails.of_size(LARGE)
    with (
        processes.smtp_sink() as sink,
        processes.postgresql(durable=True) as server,
        on_postgresql(server) as database,
    ):
        audience = Audience(database, people)
        with worker(database, sink) as sender, desk(database) as (base, runtime, secret):
            race = Race(audience, sender, made, base, runtime, secret)
            runs = {_ALONE: race.alone, _WATCHED: race.watched}
            results = compete(runs, min(scale.rounds, _ROUNDS))
    found = sorted(race.found[1:], key=lambda each: each.share)
    middle = found[len(found) // 2]
    said = f"""\
{people:,} messages of {made.size:,} bytes on PostgreSQL, sent by one worker process. The desk is
another, with {WATCHERS} browsers in it that keep the live page open from before the first mail to
the end; sink, database, worker, desk and browsers share the machine's cores. What the database is
asked for the page is timed where it is asked, waiting included; the share is that of the time the
sending takes."""
    return Chapter(
        "Watching a broadcast",
        said,
        [*results_table(results), "", *_asked(middle)],
        [
            Target(
                "the live page: share of the database's time",
                MOST_SHARE,
                middle.share,
                at_most=True,
                unit=" %",
            )
        ],
    )


def _asked(watched: Watched) -> list[str]:
    """What was asked, in the round with the middle share."""
    head = ["of a watched round", "statements", "in all", "longest", "share of the time"]
    rows = [
        [name, f"{len(ran):,}", shown_time(_seconds(ran)), shown_time(_longest(ran)), share]
        for name, ran, share in (
            (f"{WATCHERS} people open the page", watched.opening, ""),
            ("looks while it is sent", watched.looking, f"{watched.share:.2f} %"),
        )
    ]
    return table(head, rows)


def _seconds(ran: Sequence[Statement]) -> float:
    return sum(statement.seconds for statement in ran)


def _longest(ran: Sequence[Statement]) -> float:
    return max((statement.seconds for statement in ran), default=0.0)


@contextmanager
def desk(database: Database) -> Iterator[tuple[str, Runtime, str]]:
    """Its address, what it runs with, and an admin's seat; its connections are its own."""
    with database.sessions.writing() as session:
        address = Address.parse("editor@example.org")
        secret = seats.take(session, users.add(session, address, hashed_password(), Role.ADMIN))
    runtime = Runtime(factories.settings(), connect(database.url), KEYS)
    with serving_app(create_app(runtime)) as base:
        yield base, runtime, secret
    runtime.sessions.engine.dispose()
