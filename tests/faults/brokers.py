"""The broker dies, forgets, hangs; rings come too often or not at all."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from celery import Celery

from newsletter.broadcasts.sweep import sweep
from newsletter.core.db import DATABASE_AWAY
from newsletter.jobs.celery import DELIVER_SLICE, SWEEP
from tests.acceptance.installation import NEWSLETTER, Process
from tests.faults.cases import EMBEDDED, FULL, Mode, fault
from tests.faults.relays import judge_rate
from tests.faults.runs import Run
from tests.faults.servers import Redis
from tests.faults.templates import ISSUE_DATE

_QUEUE = "celery"
_RATE, _BURST = 50, 10


@fault("Redis killed, back at once and empty", modes=FULL, short=FULL)
def redis_killed(run: Run) -> None:
    run.start()
    run.reach(run.random.uniform(0.1, 0.5))
    _redis(run).stop(signal.SIGKILL)
    _redis(run).start()


@fault("Redis away", modes=FULL, sending_seconds=50)
def redis_away(run: Run) -> None:
    """Longer than a slice: it ends without a ring for the next, and mail is left to be sent."""
    run.start()
    run.reach(run.random.uniform(0.05, 0.1))
    _redis(run).stop(signal.SIGKILL)
    time.sleep(2 * run.form.outage_seconds)
    _redis(run).start()


@fault("Redis away while a rate is kept", modes=FULL, recipients=600, sending_seconds=1)
def redis_away_at_a_rate(run: Run) -> None:
    """I8: its buckets are there; alone, each worker goes on with its share and no more."""
    run.set_relays(rate=_RATE, burst=_BURST)
    run.start()
    run.reach(run.random.uniform(0.1, 0.3))
    _redis(run).stop(signal.SIGKILL)
    time.sleep(run.form.outage_seconds / 3)
    _redis(run).start()
    run.wait_until_ended()
    judge_rate(run, per_second=_RATE, burst=_BURST)


@fault("Redis away when the broadcast is sent", modes=FULL)
def redis_away_at_publish(run: Run) -> None:
    _redis(run).stop(signal.SIGKILL)
    run.start()
    time.sleep(run.form.outage_seconds)
    _redis(run).start()


@fault("Redis frozen", modes=FULL, sending_seconds=15)
def redis_frozen(run: Run) -> None:
    run.start()
    run.reach(run.random.uniform(0.1, 0.3))
    _redis(run).send_signal(signal.SIGSTOP)
    time.sleep(run.form.outage_seconds)
    _redis(run).send_signal(signal.SIGCONT)


@fault("FLUSHALL", modes=FULL)
def flushed(run: Run) -> None:
    run.start()
    for number in range(run.form.times):
        run.reach(number / run.form.times * 0.9)
        with _redis(run).client() as client:
            client.flushall()


@fault("rings doubled a hundredfold", modes=FULL, sending_seconds=6)
def rings_doubled(run: Run) -> None:
    run.start()
    for number in range(run.form.times):
        run.reach(number / run.form.times * 0.9)
        _ring(run, DELIVER_SLICE, [run.broadcast_id], times=100)


@fault("rings all dropped", modes=FULL)
def rings_dropped(run: Run) -> None:
    run.start_workers()
    ended = threading.Event()
    dropping = threading.Thread(target=_drop_rings, args=(run, ended))
    dropping.start()
    try:
        run.send()
        time.sleep(run.form.outage_seconds)
    finally:
        ended.set()
        dropping.join()


@fault("two beats, and sweeps a hundredfold", modes=FULL)
def two_beats(run: Run) -> None:
    run.start_workers()
    run.start_beat()
    run.send()
    for number in range(run.form.times):
        run.reach(number / run.form.times * 0.9)
        _ring(run, SWEEP, [], times=100)


@fault("two sweepers that never rest")
def two_sweepers(run: Run) -> None:
    """Everything they do is done twice at once, and beside the workers: a dead one's rows too."""
    ended = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        sweepers = [pool.submit(_sweep_on, run, ended) for _ in range(2)]
        try:
            run.start()
            run.reach(run.random.uniform(0.1, 0.5))
            run.kill(run.workers[0])
            run.start_worker()
            run.wait_until_ended()
        finally:
            ended.set()
    for sweeper in sweepers:
        sweeper.result()


@fault('two "send" clicks', quick=EMBEDDED, short=EMBEDDED)
def two_clicks(run: Run) -> None:
    """One of them is refused; which, does not matter."""
    wait = []
    if run.mode is Mode.FULL:
        run.start_workers()
        wait = ["--detach"]
    clicks = [run.process(str(NEWSLETTER), "send", ISSUE_DATE, *wait) for _ in range(2)]
    codes = sorted(_end_of(click, run.patience) for click in clicks)
    if codes != [0, 1]:
        run.broken.append(f'two "send" clicks ended with {codes}: expected [0, 1]')


def _sweep_on(run: Run, ended: threading.Event) -> None:
    sessions = run.sessions()
    while not ended.wait(0.05):
        with suppress(*DATABASE_AWAY):
            sweep(sessions)
    sessions.engine.dispose()


def _end_of(click: Process, seconds: float) -> int:
    return click.wait(timeout=seconds)


def _redis(run: Run) -> Redis:
    assert run.redis is not None
    return run.redis


def _ring(run: Run, task: str, arguments: list[int], *, times: int) -> None:
    with Celery(broker=_redis(run).url) as app:
        for _ in range(times):
            app.send_task(task, arguments, ignore_result=True)


def _drop_rings(run: Run, ended: threading.Event) -> None:
    with _redis(run).client() as client:
        while not ended.wait(0.005):
            client.delete(_QUEUE)
