"""Processes that die, are frozen, or are asked to go."""

import os
import signal
import subprocess
import time
from pathlib import Path

from newsletter.core.failpoints import NAMES, VARIABLE
from tests.acceptance.installation import Process
from tests.faults.cases import EMBEDDED, FULL, Injection, Mode, fault
from tests.faults.runs import LEASE_SECONDS, Run
from tests.waiting import wait_until

_PASSAGES_PER_MESSAGE = {"after_claim": 1 / 100, "inside_commit": 1 / 8}
"""At least; all other points are passed once for each message."""


@fault("kill -9 of one worker", quick=FULL, short=EMBEDDED)
def kill_one_worker(run: Run) -> None:
    run.start()
    run.reach(run.random.uniform(0.1, 0.6))
    run.kill(run.workers[0])
    run.start_worker()


@fault("kill -9 of all workers", modes=FULL)
def kill_all_workers(run: Run) -> None:
    run.start()
    run.reach(run.random.uniform(0.1, 0.6))
    for worker in list(run.workers):
        run.kill(worker)
    run.start_workers()


@fault("kill -9 again and again", sending_seconds=20)
def kill_again_and_again(run: Run) -> None:
    """The oldest each time: a process that was just started has nothing at work yet."""
    run.start()
    for number in range(run.form.times // 2):
        run.reach((number + run.random.random()) / (run.form.times // 2 + 1))
        run.kill(run.workers[number])
        run.start_worker()


def _start_armed(run: Run, point: str, how: str = "") -> Process:
    """One worker is armed. It begins alone: the connections are few, and it has to have some."""
    messages = run.random.uniform(0.05, 0.7) * len(run.recipients)
    passage = max(2, round(messages * _PASSAGES_PER_MESSAGE.get(point, 1)))
    run.worker_env = {VARIABLE: f"{point}:{passage}{how}"}
    if run.mode is Mode.EMBEDDED:
        run.start()
        return run.workers[0]
    armed = run.start_worker()
    run.start_beat()
    run.send()
    wait_until(lambda: run.accepted() > 0 or armed.poll() is not None, "it sends", run.patience)
    run.start_worker()
    return armed


def _at_failpoint(point: str) -> Injection:
    def inject(run: Run) -> None:
        armed = _start_armed(run, point)
        wait_until(lambda: armed.poll() is not None, f"the worker dies at {point}", run.patience)
        run.crashes += 1
        run.start_worker()

    return inject


for _point in NAMES:
    _in_quick = EMBEDDED if _point == "after_dot" else ()
    fault(f"kill -9 at {_point}", quick=_in_quick)(_at_failpoint(_point))


def _stopped_at(point: str) -> Injection:
    def inject(run: Run) -> None:
        """Whoever slept through its lease wakes up with its rows given to others."""
        asleep = _start_armed(run, point, ":stop")
        if run.mode is Mode.EMBEDDED:
            run.start_worker()
        wait_until(lambda: _is_stopped(asleep), f"the worker stops at {point}", run.patience)
        run.crashes += 1
        time.sleep(2 * LEASE_SECONDS)
        asleep.send_signal(signal.SIGCONT)

    return inject


for _point in ("after_intent", "after_dot", "after_250"):
    fault(f"SIGSTOP at {_point} for two leases")(_stopped_at(_point))


@fault("SIGSTOP for two leases")
def stopped_at_random(run: Run) -> None:
    run.start()
    if run.mode is Mode.EMBEDDED:
        run.start_worker()
    run.reach(run.random.uniform(0.1, 0.5))
    asleep = run.workers[0]
    asleep.send_signal(signal.SIGSTOP)
    run.crashes += 1
    time.sleep(2 * LEASE_SECONDS)
    asleep.send_signal(signal.SIGCONT)


@fault("SIGTERM every few seconds", sending_seconds=15, short=FULL)
def deployed_again_and_again(run: Run) -> None:
    """A deploy takes one worker after the other; none may leave anything behind."""
    run.start()
    for number in range(run.form.times // 2):
        run.reach((number + run.random.random()) / (run.form.times // 2 + 1))
        leaving = run.workers[number]
        leaving.send_signal(signal.SIGTERM)
        run.start_worker()
        _wait_for_the_end_of(run, leaving)


def _wait_for_the_end_of(run: Run, worker: Process) -> None:
    try:
        worker.wait(timeout=45)
    except subprocess.TimeoutExpired:
        run.broken.append("SIGTERM: the worker does not end within 45 s")
        os.kill(worker.pid, signal.SIGKILL)


def _is_stopped(worker: Process) -> bool:
    """By the kernel's word; the name in parentheses may hold spaces."""
    state = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "T"
