"""A chapter about readers on SQLite: how long they wait while the same process freezes and sends.

The installed command serves pages and sends; readers click and leave over real HTTP meanwhile, at
an even pace, by the links of an earlier mail. At the end another process imports a file.
"""

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import func, select, update

from benchmarks import mails
from benchmarks.engine import Audience, Database, on_sqlite
from benchmarks.interleaved import say
from benchmarks.mails import KEYS, SECRET
from benchmarks.page import Chapter, Target, shown_time, table
from benchmarks.sending import LARGE, Scale
from newsletter.broadcasts.models import Broadcast, BroadcastState, Delivery, DeliveryState
from newsletter.rendering.mail_tokens import Door, LeaveToken, TrackingToken
from tests.servers import processes

WAIT_SECONDS = 0.2
PACE_SECONDS = 0.02
READERS = 2
"""Threads for each kind of request; each asks at its pace, or when it was answered if later."""
PATIENCE_SECONDS = 300
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}
COMMAND = str(Path(sys.executable).with_name("newsletter"))
FREEZING, SENDING, IMPORTING = "while it freezes", "while it sends", "while a file is imported"

Ask = Callable[[], tuple[str, str]]


@dataclass(slots=True)
class Readers:
    """Requests in the background, and what each took, by the phase it began in and its kind."""

    port: int
    phase: str = ""
    stopping: threading.Event = field(default_factory=threading.Event)
    took: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def come(self, kind: str, ask: Ask, wanted: int) -> None:
        """Until told to stop."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        is_first = True
        while not self.stopping.is_set():
            phase, began = self.phase, time.perf_counter()
            connection.request(*ask(), headers=BROWSER)
            answer = connection.getresponse()
            answer.read()
            seconds = time.perf_counter() - began
            if answer.status != wanted:
                raise SystemExit(f"the run does not count: {kind} was answered {answer.status}")
            if not is_first:
                self.took.setdefault((phase, kind), []).append(seconds)
            is_first = False
            self.stopping.wait(max(0.0, PACE_SECONDS - seconds))
        connection.close()


def beside(scale: Scale) -> Chapter:
    """Freeze, send, import; the readers come all the while."""
    people = scale.million
    sent, imported = people // 50, people // 20
    say(f"  SQLite: {people:,} people, a file of {imported:,}")
    with on_sqlite() as database, processes.smtp_sink() as sink:
        audience = Audience(database, people)
        earlier = _sent_before(database, audience)
        number = audience.broadcast(mails.of_size(LARGE, day=18), frozen=False)
        asks = _asks(database, earlier)
        with _serving(database, sink) as port:
            readers = Readers(port)
            with _coming(readers, asks):
                _follow(database, number, readers, sent)
                _import(database, imported, readers)
    rows, targets = _results(readers.took)
    said = f"""\
One process serves pages, freezes {people:,} recipients and sends to them; from {sent:,} on, a
process beside it imports {imported:,} rows. {2 * READERS} readers click and unsubscribe meanwhile,
each up to {1 / PACE_SECONDS:.0f} times a second. A request counts where it began; the first of
each reader, which a server that has just started answers, does not."""
    head = ["", "requests", "p50", "p99", "longest"]
    return Chapter("Readers beside a send, on SQLite", said, table(head, rows), targets)


def _results(
    took: Mapping[tuple[str, str], Sequence[float]],
) -> tuple[list[list[str]], list[Target]]:
    rows, targets = [], []
    for (phase, kind), found in sorted(took.items(), key=_as_told):
        ordered = sorted(found)
        middle, late = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
        shown = [shown_time(seconds) for seconds in (middle, late, ordered[-1])]
        rows.append([f"{kind} {phase}", f"{len(found):,}", *shown])
        name = f"{kind} {phase}, p99"
        wanted = WAIT_SECONDS * 1e3
        targets.append(Target(name, wanted, late * 1e3, at_most=True, unit=" ms"))
    return rows, targets


def _as_told(result: tuple[tuple[str, str], Sequence[float]]) -> tuple[int, str]:
    (phase, kind), _ = result
    return [FREEZING, SENDING, IMPORTING].index(phase), kind


def _sent_before(database: Database, audience: Audience) -> int:
    """The broadcast whose links the readers follow."""
    number = audience.broadcast(mails.of_size(LARGE))
    with database.sessions.writing() as session:
        session.execute(update(Delivery).values(state=DeliveryState.ACCEPTED))
        session.get_one(Broadcast, number).state = BroadcastState.DONE
    return number


def _asks(database: Database, broadcast_id: int) -> dict[str, tuple[Ask, int]]:
    """Another recipient's link each time, and the status of a good answer."""
    with database.sessions.reading() as session:
        newsletter_id = session.get_one(Broadcast, broadcast_id).issue.newsletter_id
        rows = session.execute(
            select(Delivery.id, Delivery.subscriber_id).where(Delivery.broadcast_id == broadcast_id)
        ).all()
    following = {kind: count() for kind in ("click", "leave")}

    def click() -> tuple[str, str]:
        delivery_id, _ = rows[next(following["click"]) % len(rows)]
        return "GET", f"/c/{TrackingToken(broadcast_id, delivery_id).mint(KEYS)}/1"

    def leave() -> tuple[str, str]:
        delivery_id, person = rows[-1 - next(following["leave"]) % len(rows)]
        token = LeaveToken(Door.HEADER, newsletter_id, person, broadcast_id, delivery_id)
        return "POST", f"/u/{token.mint(KEYS)}"

    return {"a click": (click, 302), "an unsubscribe": (leave, 200)}


@contextmanager
def _coming(readers: Readers, asks: Mapping[str, tuple[Ask, int]]) -> Iterator[None]:
    """Readers from the first moment on, until the block ends."""
    readers.phase = FREEZING
    with ThreadPoolExecutor(READERS * len(asks)) as pool:
        coming = [
            pool.submit(readers.come, kind, ask, wanted)
            for kind, (ask, wanted) in asks.items()
            for _ in range(READERS)
        ]
        try:
            yield
        finally:
            readers.stopping.set()
        for each in coming:
            each.result()


def _follow(database: Database, broadcast_id: int, readers: Readers, sent: int) -> None:
    """Until so many are accepted; tells the readers when the sending begins."""
    end = time.monotonic() + PATIENCE_SECONDS
    accepted = select(func.count()).where(
        Delivery.broadcast_id == broadcast_id, Delivery.state == DeliveryState.ACCEPTED
    )
    while time.monotonic() < end:
        time.sleep(WAIT_SECONDS / 10 if readers.phase == FREEZING else 1)
        with database.sessions.reading() as session:
            if session.get_one(Broadcast, broadcast_id).state is BroadcastState.FREEZING:
                continue
            readers.phase = SENDING
            if (session.scalar(accepted) or 0) >= sent:
                return
    raise SystemExit("the run does not count: the sending takes too long")


def _import(database: Database, rows: int, readers: Readers) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "people.csv"
        lines = (f"new{n * 7919 % 1_000_003}-{n}@example.net,Reader {n}\n" for n in range(rows))
        file.write_text("email,name\n" + "".join(lines), encoding="utf-8")
        command = [COMMAND, "subscribers", "import", str(file), "--list", "Newcomers", "--json"]
        readers.phase = IMPORTING
        done = subprocess.run(
            command, env=_environment(database), check=True, capture_output=True, text=True
        )
    if json.loads(done.stdout)["added"] != rows:
        raise SystemExit(f"the run does not count: {done.stdout}")


@contextmanager
def _serving(database: Database, sink: int) -> Iterator[int]:
    """`newsletter serve`, once it answers."""
    port = processes.free_port()
    relay = {"name": "sink", "url": f"smtp://127.0.0.1:{sink}?tls=none", "connections": 24}
    environment = _environment(database) | {"NEWSLETTER_RELAYS": json.dumps([relay])}
    command = [COMMAND, "serve", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        try:
            connection.request("GET", "/health/live")
        except OSError:
            time.sleep(WAIT_SECONDS / 10)
        else:
            return
        finally:
            connection.close()
    raise SystemExit("the server does not start")


def _environment(database: Database) -> dict[str, str]:
    ours = {"NEWSLETTER_DATABASE__URL": database.url, "NEWSLETTER_SITE__SECRET_KEY": SECRET}
    return {**os.environ, **ours}
