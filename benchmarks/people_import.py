"""Chapter about people: a file of a million rows with attributes, on three lists, imported."""

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from sqlalchemy import text

from benchmarks.engine import ROOT, Database, on_postgresql, on_sqlite
from benchmarks.interleaved import Result, Sample, compete, timed
from benchmarks.mails import SECRET
from benchmarks.page import Chapter, Target, results_table
from benchmarks.sending import Scale
from newsletter.core.db import Sessions
from subscribers import segment_indexes, segments
from tests import factories
from tests.servers import processes

COMMAND = str(Path(sys.executable).with_name("newsletter"))
LISTS = ("mornings", "evenings", "weekly")
COLUMNS = ("list", "email", "name", "locale", "attributes", "status", "subscribed_at")
ROWS_PER_SECOND = 20_000
GROWTH_MB = 30
"""More memory for ten times the rows: caches fill up, nothing else may."""
COPY, EXECUTEMANY = "COPY into a bare table, PostgreSQL", "executemany into a bare table, SQLite"
POSTGRESQL, SQLITE = "import, PostgreSQL", "import, SQLite"
WITH_SEGMENTS = "import, PostgreSQL, twelve saved segments"


def importing(scale: Scale) -> Chapter:
    """The same rows into bare tables and into ours, in turn."""
    people, few = scale.million, scale.million // 10
    with _files(people, few) as (file, small), processes.postgresql(durable=True) as server:
        contestants: dict[str, Callable[[], Sample]] = {
            COPY: partial(_copied, server, file, people),
            POSTGRESQL: partial(_imported_there, server, file, people),
            WITH_SEGMENTS: partial(_imported_there, server, file, people, _save_segments),
            EXECUTEMANY: partial(_executed, file, people),
            SQLITE: partial(_imported_here, file, people),
        }
        results = compete(contestants, min(scale.rounds, 3))
        small_memory = {
            POSTGRESQL: _imported_there(server, small, few).rss_mb,
            SQLITE: _imported_here(small, few).rss_mb,
        }
    said = f"""\
{people:,} rows with attributes on three lists: each address checked, looked up and stored with its
subscription and its evidence, durably. The references put the cells as they are into a table
without keys, in one transaction. On SQLite the import leaves the database to others for much of
the time. Saved segments have an index each (decision 0039). CPU is that of the importing process
and of the one that reads the file for it."""
    return Chapter(
        "Import people", said, results_table(results), _targets(results, small_memory, few)
    )


def _targets(results: dict[str, Result], small_memory: dict[str, float], few: int) -> list[Target]:
    targets = []
    for name, small in small_memory.items():
        found = results[name]
        targets.append(Target(f"{name}: rows a second", ROWS_PER_SECOND, found.per_second))
        grown = max(0.0, found.rss_mb - small)
        label = f"{name}: more memory than for {few:,}"
        targets.append(Target(label, GROWTH_MB, grown, at_most=True, unit=" MB"))
    return targets


@contextmanager
def _files(*sizes: int) -> Iterator[list[Path]]:
    parent = ROOT / "var"
    parent.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=parent) as folder:
        files = [Path(folder) / f"{size}.csv" for size in sizes]
        for file, size in zip(files, sizes, strict=True):
            _write(file, size)
        yield files


def _write(file: Path, people: int) -> None:
    """Addresses are scattered, as real ones are: an index filled in order would flatter us."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for n in range(people):
            address = f"reader{n * 7919 % 1_000_003}-{n}@mail{n % 200}.example.org"
            about = {"plan": ("free", "pro")[n % 2], "city": f"City {n % 500}", "age": n % 90}
            status = "unsubscribed" if n % 50 == 0 else "active"
            since = f"2025-01-{n % 28 + 1:02}T03:04:05+00:00"
            row = (LISTS[n % 3], address, f"Reader {n}", "en", json.dumps(about), status, since)
            writer.writerow(row)


def _rows(file: Path) -> Iterator[list[str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream)
        next(rows)
        yield from rows


def _copied(server: str, file: Path, people: int) -> Sample:
    def copy() -> None:
        with psycopg.connect(server.replace("+psycopg", "")) as connection:
            connection.execute("DROP TABLE IF EXISTS bare")
            named = ", ".join(f"{column} text" for column in COLUMNS)
            connection.execute(f"CREATE TABLE bare ({named})".encode())
            with connection.cursor().copy("COPY bare FROM STDIN") as into:
                for row in _rows(file):
                    into.write_row(row)

    return timed(copy, people)


def _executed(file: Path, people: int) -> Sample:
    with on_sqlite() as database, database.sessions.writing() as session:
        session.execute(text(f"CREATE TABLE bare ({', '.join(COLUMNS)})"))
        marks = ", ".join("?" * len(COLUMNS))
        raw: Any = session.connection().connection.dbapi_connection

        def execute() -> None:
            raw.executemany(f"INSERT INTO bare VALUES ({marks})", _rows(file))
            session.commit()

        return timed(execute, people)


def _imported_there(
    server: str, file: Path, people: int, prepare: Callable[[Sessions], None] | None = None
) -> Sample:
    with on_postgresql(server) as database:
        if prepare:
            prepare(database.sessions)
        return _imported(database, file, people)


def _save_segments(sessions: Sessions) -> None:
    """As many as have an index, with half of all people inside or a part of them."""
    terms = ['attributes.plan = "pro"', *(f"attributes.age > {80 - 7 * n}" for n in range(11))]
    with sessions.writing() as session:
        on = factories.a_list(session, "segments", factories.stored_issue(session))
        for number, term in enumerate(terms):
            segments.save(session, on, f"Segment {number}", term)
    segment_indexes.keep(sessions, worth_people=0)


def _imported_here(file: Path, people: int) -> Sample:
    with on_sqlite() as database:
        return _imported(database, file, people)


def _imported(database: Database, file: Path, people: int) -> Sample:
    """By the command, from its start to its end."""
    ours = {"NEWSLETTER_DATABASE__URL": database.url, "NEWSLETTER_SITE__SECRET_KEY": SECRET}
    command = [COMMAND, "subscribers", "import", str(file), "--json"]
    began = time.perf_counter()
    with subprocess.Popen(command, env=os.environ | ours, stdout=subprocess.PIPE) as process:
        assert process.stdout
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    if process.returncode or json.loads(said)["added"] != people:
        raise SystemExit(f"the run does not count: {said!r}")
    cpu = used.ru_utime + used.ru_stime
    return Sample(wall / people, cpu / people, used.ru_maxrss / 1024)
