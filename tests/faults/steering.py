"""People steer, leave, and restore backups while mail goes out."""

import shutil
import sqlite3
import time
import urllib.request
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path

from celery import Celery
from sqlalchemy import update
from sqlalchemy.orm import Session

from newsletter.broadcasts import control
from newsletter.broadcasts.models import Broadcast, PauseReason
from newsletter.core.clock import now
from newsletter.core.errors import RefusedError
from newsletter.core.tokens import TokenKeys
from newsletter.jobs.bell import ring
from newsletter.rendering.mail_tokens import Door, LeaveToken
from subscribers.models import Subscriber
from tests.acceptance.installation import NEWSLETTER
from tests.faults.cases import EMBEDDED, fault
from tests.faults.runs import CONNECTIONS, Run
from tests.servers.processes import free_port
from tests.waiting import wait_until

_Verb = Callable[[Session, int], None]

_REACTION_SECONDS = 2.0
_INJECTED = "a\r\nBcc: x@example.org\r\n.\r\nMAIL FROM:<x@example.org>\r\nRCPT TO:<x@example.org>"


@fault("pause and resume at random", sending_seconds=15)
def paused_and_resumed(run: Run) -> None:
    run.start()
    run.reach(0.02)
    _steer_all(run, [_pause_or_resume(run) for _ in range(run.form.times * 10)])
    _steer(run, control.resume)


@fault("pause, resume and cancel at random", sending_seconds=15)
def paused_resumed_and_cancelled(run: Run) -> None:
    run.start()
    run.reach(0.02)
    number = run.form.times * 10
    verbs = [_pause_or_resume(run) for _ in range(number)]
    verbs[run.random.randrange(number // 2, number)] = control.cancel
    _steer_all(run, verbs)
    wait_until(lambda: not _open(run), "nothing is open", seconds=run.patience)


@fault("cancelled", sending_seconds=6, quick=EMBEDDED, short=EMBEDDED)
def cancelled(run: Run) -> None:
    run.start()
    run.reach(run.random.uniform(0.2, 0.6))
    if not _steer(run, control.cancel):
        run.broken.append("the broadcast cannot be cancelled")
    cancelled_at = time.time()
    time.sleep(_REACTION_SECONDS)
    _judge_quiet(run, [(cancelled_at, time.time())])
    wait_until(lambda: not _open(run), "nothing is open", seconds=run.patience)


@fault("5 % unsubscribe while it is sent", sending_seconds=7, short=EMBEDDED)
def unsubscribed(run: Run) -> None:
    """I7, by one-click POST as mail programs send it."""
    port = free_port()
    run.start_workers()
    run.process(str(NEWSLETTER), "serve", "--port", str(port))
    wait_until(lambda: _serves(port), "pages are served", seconds=run.patience)
    run.send()
    run.reach(0.05)
    people = {str(row["to"]) for row in run.events() if row["event"] == "accepted"}
    waiting = [address for address in run.recipients if address not in people]
    left_at: dict[str, float] = {}
    for address in run.random.sample(waiting, len(run.recipients) // 20):
        _leave(run, port, address)
        left_at[address] = time.time()
    run.wait_until_ended()
    later = [
        event["to"]
        for event in run.events()
        if event["event"] == "accepted" and event["at"] > left_at.get(event["to"], event["at"])
    ]
    if len(later) > CONNECTIONS:
        run.broken.append(f"I7 {len(later)} mailed after they had left")


def _serves(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2):
            return True
    except OSError:
        return False


@fault("a poisoned merge value")
def poisoned(run: Run) -> None:
    """Whatever stands in one person's name, the others get their mail, and nobody gets two."""
    values = ["{{ subscriber.email }}", _INJECTED, "\u202e\u2028\u0085", "x" * 200]
    sessions = run.sessions()
    with sessions.writing() as session:
        for address, value in zip(run.recipients, values, strict=False):
            session.execute(
                update(Subscriber).where(Subscriber.email == address).values(name=value)
            )
    sessions.engine.dispose()
    run.start()


@fault("an old backup restored", sending_seconds=6)
def backup_restored(run: Run) -> None:
    """It knows nothing of what was sent since; past `not_after`, it sends nothing by itself."""
    run.history_lost = True
    run.start()
    run.reach(0.2)
    restore = _back_up(run)
    run.reach(0.6)
    for worker in list(run.workers):
        run.kill(worker)
    restore()
    sessions = run.sessions()
    with sessions.writing() as session:  # as if so much time had passed
        session.get_one(Broadcast, run.broadcast_id).not_after = now()
    sessions.engine.dispose()
    run.start_worker()


def _pause(session: Session, broadcast_id: int) -> None:
    control.pause(session, broadcast_id, PauseReason.OPERATOR)


def _pause_or_resume(run: Run) -> _Verb:
    return run.random.choice((_pause, control.resume))


def _steer(run: Run, verb: _Verb) -> bool:
    """As a command or a page does it, the ring included; False when it is refused."""
    sessions = run.sessions()
    if run.redis is not None:
        sessions.ring = partial(ring, Celery(broker=run.redis.url))
    try:
        with sessions.writing() as session:
            verb(session, run.broadcast_id)
    except RefusedError:
        return False
    finally:
        sessions.engine.dispose()
    return True


def _steer_all(run: Run, verbs: Iterable[_Verb]) -> None:
    """One after the other at random, refused ones too; I7 in every interval without sending."""
    quiet: list[tuple[float, float]] = []
    stopped_at: float | None = None
    for verb in verbs:
        before = time.time()
        if _steer(run, verb):
            if verb is control.resume and stopped_at:
                quiet.append((stopped_at, before))
            stopped_at = None if verb is control.resume else stopped_at or time.time()
        time.sleep(run.random.uniform(0, 0.3))
    if stopped_at:
        quiet.append((stopped_at, time.time()))
    _judge_quiet(run, quiet)


def _judge_quiet(run: Run, quiet: Iterable[tuple[float, float]]) -> None:
    """I7: what comes later than the pause was on the wire: one message per connection."""
    times = [float(event["at"]) for event in run.events() if event["event"] == "accepted"]
    for since, until in quiet:
        after = sum(since < at < until for at in times)
        if after > CONNECTIONS:
            run.broken.append(f"I7 {after} accepted after a pause or the end")


def _back_up(run: Run) -> Callable[[], None]:
    """A backup made while others write; returns what puts it in the database's place."""
    if run.postgres is not None:
        dump = run.postgres.dump(run.database)
        return partial(run.postgres.restore, run.database, dump)
    database, backup = run.installation.folder / "newsletter.db", run.folder / "backup.db"
    with (
        closing(sqlite3.connect(database, timeout=30)) as source,
        closing(sqlite3.connect(backup)) as target,
    ):
        source.backup(target)
    return partial(_restore, database, backup)


def _restore(database: Path, backup: Path) -> None:
    for beside in ("-wal", "-shm"):
        database.with_name(database.name + beside).unlink(missing_ok=True)
    shutil.copy(backup, database)


def _open(run: Run) -> bool:
    return any(row.state in ("pending", "claimed", "sending") for row in run.ledger())


def _leave(run: Run, port: int, address: str) -> None:
    secret = run.installation.env["NEWSLETTER_SITE__SECRET_KEY"]
    token = LeaveToken(Door.HEADER, 1, _subscriber_id(run, address), 0, 0)
    url = f"http://127.0.0.1:{port}/u/{token.mint(TokenKeys.from_secrets(secret))}"
    request = urllib.request.Request(url, data=b"List-Unsubscribe=One-Click")
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200


def _subscriber_id(run: Run, address: str) -> int:
    return run.recipients.index(address) + 1
