"""The database restarts, cuts, stalls, is locked, is full, or does not say that it committed."""

import resource
import signal
import sqlite3
import time
from functools import partial

from tests.faults.cases import EMBEDDED, FULL, fault
from tests.faults.proxy import PostgresProxy
from tests.faults.runs import CONNECTIONS, LEASE_SECONDS, Run
from tests.faults.servers import Postgres
from tests.waiting import wait_until


@fault("PostgreSQL restarted fast", modes=FULL)
def restarted_fast(run: Run) -> None:
    _restart(run, signal.SIGINT)


@fault("PostgreSQL restarted immediately", modes=FULL)
def restarted_immediately(run: Run) -> None:
    """As after a crash: open transactions are gone, and nobody is told goodbye."""
    _restart(run, signal.SIGQUIT)


@fault("PostgreSQL away", modes=FULL)
def away(run: Run) -> None:
    _restart(run, signal.SIGINT, seconds=3 * run.form.outage_seconds)


@fault("PostgreSQL's backends killed", modes=FULL, sending_seconds=6)
def backends_killed(run: Run) -> None:
    run.start()
    for number in range(run.form.times):
        run.reach((number + 1) / run.form.times * 0.9)
        _server(run).sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{run.database}' AND pid <> pg_backend_pid()"
        )
        run.crashes += 1


@fault("commit reply lost", modes=FULL, sending_seconds=6, quick=FULL, short=FULL)
def commit_reply_lost(run: Run) -> None:
    proxy = _through_proxy(run)
    run.start()
    for number in range(run.form.times):
        run.reach((number + 1) / run.form.times * 0.9)
        proxy.lose_commit_replies(1)
        wait_until(
            partial(_lost_more_than, proxy, number), "a commit's reply is lost", run.patience
        )
        run.crashes += 1


@fault("connections to PostgreSQL cut", modes=FULL, sending_seconds=6)
def connections_cut(run: Run) -> None:
    proxy = _through_proxy(run)
    run.start()
    for number in range(run.form.times):
        run.reach((number + 1) / run.form.times * 0.9)
        proxy.cut()
        run.crashes += 1


@fault("PostgreSQL stalls for longer than a lease", modes=FULL)
def stalls(run: Run) -> None:
    proxy = _through_proxy(run)
    run.start()
    run.reach(run.random.uniform(0.1, 0.5))
    seconds = max(2 * LEASE_SECONDS, run.form.outage_seconds)
    proxy.stall(seconds)
    _without_a_ledger(run, seconds - 1)
    run.crashes += 2


@fault("SQLite locked exclusively", modes=EMBEDDED, quick=EMBEDDED, short=EMBEDDED)
def locked(run: Run) -> None:
    """Longer than the busy timeout, so that our own commits fail."""
    run.start()
    run.reach(run.random.uniform(0.1, 0.5))
    other = sqlite3.connect(run.installation.folder / "newsletter.db", isolation_level=None)
    wait_until(lambda: _locks(other), "the lock is had")
    _without_a_ledger(run, min(15, 6 * run.form.outage_seconds))
    other.execute("ROLLBACK")
    other.close()
    run.crashes += 1


@fault("disk full", modes=EMBEDDED)
def disk_full(run: Run) -> None:
    """No file of the worker's may grow; then the disk is made larger."""
    run.start()
    run.reach(run.random.uniform(0.1, 0.5))
    worker = run.workers[0]
    _, hard = resource.prlimit(worker.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (4096, hard))
    _without_a_ledger(run, run.form.outage_seconds)
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (hard, hard))
    run.crashes += 1


def _without_a_ledger(run: Run, seconds: float) -> None:
    """What cannot be announced is not offered: only what had been is accepted meanwhile."""
    before = run.accepted()
    time.sleep(seconds)
    if (more := run.accepted() - before) > CONNECTIONS:
        run.broken.append(f"I6 {more} accepted while nothing could be written")


def _lost_more_than(proxy: PostgresProxy, number: int) -> bool:
    return proxy.lost > number


def _locks(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        return False
    return True


def _server(run: Run) -> Postgres:
    assert run.postgres is not None
    return run.postgres


def _restart(run: Run, number: int, seconds: float = 0) -> None:
    server = run.own_postgres()
    run.start()
    run.reach(run.random.uniform(0.1, 0.5))
    server.stop(number)
    _without_a_ledger(run, seconds)
    server.start()
    run.crashes += len(run.workers)


def _through_proxy(run: Run) -> PostgresProxy:
    """From now on the installation's commands reach the database by a proxy; we do not."""
    proxy = run.stack.enter_context(PostgresProxy(_server(run).port))
    url = f"postgresql://tests@127.0.0.1:{proxy.port}/{run.database}?sslmode=disable"
    run.set(database__url=url)
    return proxy
