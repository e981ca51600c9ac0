"""SQLite keeps deleted bytes in free pages and its write-ahead log until they are written over."""

from pathlib import Path

from newsletter.core.db import Sessions
from newsletter.core.errors import BusyError
from newsletter.core.sentences import say


def size_bytes(sessions: Sessions) -> int:
    """Of the file and its log."""
    return sum(file.stat().st_size for file in _files(sessions) if file.exists())


def compact(sessions: Sessions) -> None:
    """Only what is live stands in the file afterwards, and nothing in its log.

    Raises:
        BusyError: somebody reads or writes all the time, so the log could not be emptied.
    """
    with sessions.turn(), sessions.engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw
        raw.execute("VACUUM")
        busy, _, _ = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise BusyError(
            say(
                "the database is in use, and its log still holds what was deleted; "
                "stop what uses it, then `newsletter db compact` again"
            )
        )


def _files(sessions: Sessions) -> list[Path]:
    database = sessions.engine.url.database
    assert database
    return [Path(database), Path(f"{database}-wal")]
