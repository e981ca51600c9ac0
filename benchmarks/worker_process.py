"""A worker process, its CPU and memory its own: `python -m benchmarks.worker_process`.

It has its settings from the environment, as an operator's worker has. For each line of standard
input, a broadcast's id, it drains that broadcast and prints one line of JSON. Neither the imports
nor the freezing are counted; everything from the first claim to `done` is.
"""

import json
import resource
import sys
import time
from pathlib import Path

from sqlalchemy import func, select

from newsletter.broadcasts.models import Broadcast, BroadcastState, Delivery, DeliveryState
from newsletter.core.config import Settings
from newsletter.core.db import Sessions
from newsletter.core.runtime import open_runtime
from newsletter.sending.dispatch import Dispatch
from newsletter.sending.smtp_transport import transports_for

READY = "ready"


def main() -> None:
    runtime = open_runtime(Settings())
    with Dispatch(runtime, transports_for(runtime.settings.relays)) as dispatch:
        print(READY, flush=True)
        for line in sys.stdin:
            print(json.dumps(_drained(dispatch, runtime.sessions, int(line))), flush=True)


def _drained(dispatch: Dispatch, sessions: Sessions, broadcast_id: int) -> dict[str, float]:
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    while dispatch.deliver(broadcast_id):
        pass
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": seconds,
        "cpu_user": after.ru_utime - before.ru_utime,
        "cpu_sys": after.ru_stime - before.ru_stime,
        "max_rss_mb": _peak_mb(),
        "messages": _accepted(sessions, broadcast_id),
    }


def _peak_mb() -> float:
    """The most memory this program had; `ru_maxrss` would begin with that of its parent."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def _accepted(sessions: Sessions, broadcast_id: int) -> int:
    """How many were accepted; -1 if the broadcast is not done, or not everybody was."""
    with sessions.reading() as session:
        counts = select(Delivery.state, func.count().label("people")).group_by(Delivery.state)
        ours = counts.where(Delivery.broadcast_id == broadcast_id)
        states = {row.state: row.people for row in session.execute(ours)}
        done = session.get_one(Broadcast, broadcast_id).state is BroadcastState.DONE
    return states.get(DeliveryState.ACCEPTED, 0) if done and len(states) == 1 else -1


if __name__ == "__main__":
    main()
