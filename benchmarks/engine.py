"""Ours, end to end: claimed from the ledger, personalised, offered, recorded."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import psycopg
from sqlalchemy import update

from benchmarks.crowd import crowd
from benchmarks.interleaved import Sample
from benchmarks.mails import SECRET, TEMPLATES, MadeMail
from benchmarks.worker_process import READY
from newsletter.broadcasts import freezing, planning
from newsletter.broadcasts.models import BroadcastState
from newsletter.core.clock import now
from newsletter.core.db import Sessions, connect
from newsletter.core.sections import TemplateSettings, TrackingMode
from newsletter.issues.models import Issue
from newsletter.migrations import schema
from subscribers.models import SubscriberList, Subscription, SubscriptionStatus, TrackingConsent
from tests import factories

ROOT = Path(__file__).parents[1]
SESSIONS = 24
"""Connections of every contestant that can have several."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database with our tables, and where it is."""

    url: str
    sessions: Sessions


class Audience:
    """People on a list, to whom issues are sent again and again."""

    def __init__(self, database: Database, people: int) -> None:
        """Everybody stays, and nobody was asked about tracking: all get the same wire form."""
        self.database = database
        self.people = people
        _, self._readers = crowd(database.sessions, people)
        self._issues: dict[str, Issue] = {}
        stays = {
            "status": SubscriptionStatus.ACTIVE,
            "tracking_consent": TrackingConsent.UNKNOWN,
        }
        with database.sessions.writing() as session:
            session.execute(update(Subscription).values(**stays))

    def broadcast(
        self, made: MadeMail, unknown: TrackingMode = TrackingMode.AGGREGATE, *, frozen: bool = True
    ) -> int:
        """Another broadcast of that issue to everybody."""
        sessions = self.database.sessions
        if made.text not in self._issues:
            with sessions.writing() as session:
                self._issues[made.text] = factories.stored_issue(session, made.text)
        number = scheduled(sessions, self._issues[made.text], self._readers)
        if frozen:
            freezing.freeze(sessions, number, unknown)
        return number


def scheduled(sessions: Sessions, issue: Issue, readers: SubscriberList) -> int:
    """A broadcast about to be frozen."""
    settings = factories.settings(templates=TemplateSettings(dir=TEMPLATES))
    with sessions.writing() as session:
        chosen, to = session.merge(issue), session.merge(readers)
        plan = planning.prepare(chosen, settings, today=factories.DAY)
        stale = timedelta(days=1)
        broadcast = planning.schedule(
            session, plan, [to], start_at=now(), stale_after=stale, force=True
        )
        broadcast.state = BroadcastState.FREEZING
        session.flush()
        return broadcast.id


class Worker:
    """A worker process that lives on from round to round, as an operator's does."""

    def __init__(self, process: "subprocess.Popen[str]", into: IO[str], out: IO[str]) -> None:
        self._process, self._into, self._out = process, into, out

    def begin(self, broadcast_id: int) -> None:
        print(broadcast_id, file=self._into, flush=True)

    def result(self) -> Mapping[str, float]:
        line = self._out.readline()
        if not line:
            raise SystemExit(f"the worker ended with {self._process.wait()}")
        return dict(json.loads(line))


@contextmanager
def worker(
    database: Database,
    relay_port: int,
    *,
    connections: int = SESSIONS,
    over_all: int = 0,
    dkim: Sequence[Mapping[str, str]] = (),
) -> Iterator[Worker]:
    """Runs while the block does; `over_all` are the relay's connections, of all workers."""
    url = f"smtp://127.0.0.1:{relay_port}?tls=none"
    relay = {"name": "sink", "url": url, "connections": over_all or connections}
    settings = {
        "DATABASE__URL": database.url,
        "SITE__SECRET_KEY": SECRET,
        "RELAYS": json.dumps([relay]),
        "DELIVERY__CONNECTIONS": str(connections),
        **({"DKIM": json.dumps(dkim)} if dkim else {}),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.worker_process"],
        cwd=ROOT,
        env={**os.environ, **{f"NEWSLETTER_{name}": value for name, value in settings.items()}},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        if process.stdout.readline().strip() != READY:
            raise SystemExit("the worker does not start")
        yield Worker(process, process.stdin, process.stdout)
        process.stdin.close()


def drain(workers: Sequence[Worker], audience: Audience, broadcast_id: int) -> Sample:
    """Have the workers send it, all at once; a run that leaves anybody out does not count."""
    for each in workers:
        each.begin(broadcast_id)
    results = [each.result() for each in workers]
    if audience.people not in {result["messages"] for result in results}:
        raise SystemExit(f"the run does not count: {results}")
    return Sample(
        max(result["seconds"] for result in results) / audience.people,
        sum(result["cpu_user"] + result["cpu_sys"] for result in results) / audience.people,
        max(result["max_rss_mb"] for result in results),
    )


@contextmanager
def on_sqlite() -> Iterator[Database]:
    """A database file on the disk that the checkout is on: temporary folders may be in memory."""
    parent = ROOT / "var"
    parent.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=parent) as folder:
        yield from _upgraded(f"sqlite:///{folder}/benchmark.db")


@contextmanager
def on_postgresql(server: str) -> Iterator[Database]:
    """A database of its own on the server."""
    with psycopg.connect(server.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS benchmark")
        admin.execute("CREATE DATABASE benchmark")
    yield from _upgraded(server.replace("/postgres", "/benchmark"))


def _upgraded(url: str) -> Iterator[Database]:
    sessions = connect(url)
    try:
        schema.upgrade(sessions)
        yield Database(url, sessions)
    finally:
        sessions.engine.dispose()
