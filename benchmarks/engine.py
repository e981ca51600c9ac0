"""Ours, end to end: claimed from the ledger, personalised, offered, recorded."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
from pydantic import SecretStr

from benchmarks.interleaved import Sample, timed
from newsletter.core.config import RelaySettings
from newsletter.core.db import Sessions, connect
from newsletter.core.runtime import Runtime
from newsletter.core.tokens import TokenKeys
from newsletter.migrations import schema
from newsletter.sending.dispatch import Dispatch
from newsletter.sending.smtp_transport import transports_for
from tests import factories

_KEYS = TokenKeys.from_secrets("a secret of the benchmarks, long enough to be one")
_numbers = count(1)


class Engine:
    """A system with one database and one relay; every round is a new broadcast to new people."""

    def __init__(self, sessions: Sessions, sink_port: int, text: str, recipients: int) -> None:
        relay = RelaySettings(name="sink", url=SecretStr(f"smtp://127.0.0.1:{sink_port}?tls=none"))
        self._runtime = factories.runtime(sessions, _KEYS, relays=(relay,))
        self._text = text
        self._recipients = recipients

    def round(self, connections: int = 1) -> Sample:
        """Freezing is not counted; everything from the first claim to `done` is."""
        runtime = self._runtime
        broadcast_id = self._frozen(runtime.sessions)

        def work() -> None:
            with Dispatch(runtime, transports_for(runtime.settings.relays)) as dispatch:
                while dispatch.deliver(broadcast_id):
                    pass

        sample = timed(work, self._recipients)
        self._check(runtime, broadcast_id)
        return sample

    def _frozen(self, sessions: Sessions) -> int:
        number = next(_numbers)
        addresses = [f"r{n}@round{number}.example.org" for n in range(self._recipients)]
        text = self._text.replace("newsletter: field-notes", f"newsletter: field-notes-{number}")
        return factories.sending(sessions, addresses, text, f"List {number}")

    def _check(self, runtime: Runtime, broadcast_id: int) -> None:
        rows = factories.deliveries(runtime.sessions, broadcast_id).values()
        states = {row.state.name for row in rows}
        if states != {"ACCEPTED"} or len(rows) != self._recipients:
            raise SystemExit(f"the run does not count: {len(rows)} rows are {states}")


@contextmanager
def on_sqlite(folder: Path) -> Iterator[Sessions]:
    """A database file in `folder`, as the embedded default has it."""
    yield from _upgraded(f"sqlite:///{folder / 'benchmark.db'}")


@contextmanager
def on_postgresql(server: str) -> Iterator[Sessions]:
    """A database of its own on the server."""
    with psycopg.connect(server.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute("CREATE DATABASE benchmark")
    yield from _upgraded(server.replace("/postgres", "/benchmark"))


def _upgraded(url: str) -> Iterator[Sessions]:
    sessions = connect(url)
    schema.upgrade(sessions)
    yield sessions
    sessions.engine.dispose()


def addresses(recipients: int) -> Sequence[str]:
    """Addresses for the reference, as long as ours."""
    return [f"r{n}@round0.example.org" for n in range(recipients)]
