"""The recorder: hits that come at the same time share one transaction, answered after its commit.

A commit to disk costs the same for one hit as for two hundred, so a burst after a send costs a
few commits, and no request holds a thread or the database while it waits.
"""

import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from sqlalchemy.exc import OperationalError

from newsletter.core.db import Sessions
from newsletter.core.errors import BusyError
from newsletter.tracking.recording import Fetch, record

_MOST_AT_ONCE = 200
_AIR_SECONDS = 0.001
"""Between two groups, for writers in other processes: SQLite's lock knows no queue."""

_Waiting = tuple[Fetch, Future[None]]


class Recorder:
    """Writes hits in groups from one thread of its own."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recorder")
        self._guard = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._is_writing = False

    def record(self, fetch: Fetch) -> "Future[None]":
        """Done once the hit is committed; carries the error when it could not be."""
        done: Future[None] = Future()
        done.set_running_or_notify_cancel()  # whoever hangs up takes no hit back
        with self._guard:
            self._waiting.append((fetch, done))
            if not self._is_writing:
                self._is_writing = True
                self._thread.submit(self._write_all)
        return done

    def close(self) -> None:
        """Write what waits, then end."""
        self._thread.shutdown()

    def _write_all(self) -> None:
        while group := self._next_group():
            self._write(group)
            time.sleep(_AIR_SECONDS)

    def _next_group(self) -> list[_Waiting]:
        with self._guard:
            size = min(len(self._waiting), _MOST_AT_ONCE)
            self._is_writing = size > 0
            return [self._waiting.popleft() for _ in range(size)]

    def _write(self, group: list[_Waiting]) -> None:
        """All or nothing; a row that cannot be written takes no neighbour with it."""
        try:
            with self._sessions.writing() as session:
                record(session, [fetch for fetch, _ in group])
        except Exception as error:  # noqa: BLE001 - every request raises it again, and answers
            if len(group) == 1 or isinstance(error, BusyError | OperationalError):
                for _, done in group:
                    done.set_exception(error)
                return
            for alone in group:
                self._write([alone])
        else:
            for _, done in group:
                done.set_result(None)
