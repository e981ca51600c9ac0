"""Chapters about the ledger at size: freezing a large audience, claiming among millions of rows."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import BigInteger, String, cast, insert, literal, select, text, update
from sqlalchemy.orm import Session

from benchmarks.crowd import crowd
from benchmarks.engine import Database, on_postgresql, on_sqlite, scheduled
from benchmarks.interleaved import say
from benchmarks.page import Chapter, Target, shown_time, table
from benchmarks.sending import Scale
from newsletter.broadcasts import claims, freezing
from newsletter.broadcasts.models import Broadcast, BroadcastState, Delivery, DeliveryState
from newsletter.core.clock import now
from newsletter.core.sections import TrackingMode
from newsletter.rendering.compiled import WireForm
from tests.servers import processes

BROADCASTS = 10
CLAIM_ROWS = 100
FREEZE_SECONDS = 15
CLAIM_SECONDS = 0.1


@contextmanager
def _postgresql() -> Iterator[Database]:
    with processes.postgresql(durable=True) as server, on_postgresql(server) as database:
        yield database


DATABASES: dict[str, Callable[[], AbstractContextManager[Database]]] = {
    "PostgreSQL": _postgresql,
    "SQLite": on_sqlite,
}


def freeze(scale: Scale) -> Chapter:
    """One ledger row for each of a million people."""
    rows, targets = [], []
    for name, opened in DATABASES.items():
        with opened() as database:
            say(f"  {name}: {scale.million:,} people")
            issue, readers = crowd(database.sessions, scale.million)
            number = scheduled(database.sessions, issue, readers)
            began = time.perf_counter()
            freezing.freeze(database.sessions, number, TrackingMode.AGGREGATE)
            seconds = time.perf_counter() - began
        rows.append([name, shown_time(seconds), f"{scale.million / seconds:,.0f}"])
        target = f"{name}: freezing {scale.million:,}"
        targets.append(Target(target, FREEZE_SECONDS, seconds, at_most=True, unit=" s"))
    said = f"""\
{scale.million:,} people on a list, some of whom left or never confirmed, with mixed consent to
tracking: who gets what is decided and written, in transactions of a few thousand rows."""
    return Chapter("Freeze the audience", said, table(["", "in all", "per second"], rows), targets)


def claiming(scale: Scale) -> Chapter:
    """The next rows of a broadcast, in a ledger with many others."""
    rows, targets = [], []
    for name, opened in DATABASES.items():
        with opened() as database:
            say(f"  {name}: {scale.ledger_rows:,} rows")
            number = _full(database, scale.ledger_rows)
            found = sorted(_claim(database, number) for _ in range(scale.claims))
        middle, late = found[len(found) // 2], found[len(found) * 99 // 100]
        rows.append([name, shown_time(middle), shown_time(late)])
        targets.append(
            Target(f"{name}: claim, p99", CLAIM_SECONDS * 1e3, late * 1e3, at_most=True, unit=" ms")
        )
    said = f"""\
{scale.claims} claims of {CLAIM_ROWS} rows, each its own durable transaction, in a ledger of
{scale.ledger_rows:,} rows: {BROADCASTS} broadcasts, all but the last of them sent. Nobody vacuumed
or analysed it by hand."""
    return Chapter("Claim from a large ledger", said, table(["", "p50", "p99"], rows), targets)


def _claim(database: Database, broadcast_id: int) -> float:
    began = time.perf_counter()
    with database.sessions.writing() as session:
        found = claims.claim(
            session.connection(), broadcast_id, limit=CLAIM_ROWS, lease_seconds=120
        )
    if not found.rows:
        raise SystemExit("the run does not count: nothing was claimed")
    return time.perf_counter() - began


def _full(database: Database, rows: int) -> int:
    """A ledger of so many rows by bulk SQL; the broadcast that is being sent."""
    sessions = database.sessions
    issue, readers = crowd(sessions, 1)
    numbers = [scheduled(sessions, issue, readers) for _ in range(BROADCASTS)]
    for number in numbers:
        is_last = number == numbers[-1]
        state = DeliveryState.PENDING if is_last else DeliveryState.ACCEPTED
        with sessions.writing() as session:
            _deliveries(session, number, rows // BROADCASTS, state)
            at_work = BroadcastState.SENDING if is_last else BroadcastState.DONE
            session.execute(update(Broadcast).where(Broadcast.id == number).values(state=at_work))
    return numbers[-1]


def _deliveries(session: Session, broadcast_id: int, rows: int, state: DeliveryState) -> None:
    if session.get_bind().dialect.name == "postgresql":
        # The broadcast is there: no need to look it up for each row.
        session.execute(text("SET LOCAL session_replication_role = replica"))
    number = select(literal(1, BigInteger()).label("n")).cte("numbers", recursive=True)
    number = number.union_all(select(number.c.n + 1).where(number.c.n < rows))
    address = literal("reader") + cast(number.c.n * 7919 % rows, String) + "@mail.example.org"
    values = {
        "broadcast_id": literal(broadcast_id),
        "subscriber_id": number.c.n,
        "list_id": literal(1),
        "address": address,
        "address_key": address,
        "domain_key": literal("mail.example.org"),
        "wire_form": literal(int(WireForm.AGGREGATE)),
        "state": literal(int(state)),
        "due_at": literal(now(), Delivery.due_at.type),
    }
    chosen = [value.label(name) for name, value in values.items()]
    session.execute(insert(Delivery).from_select(list(values), select(*chosen)))
