"""The live page's stream: one poller for all, taken up again, ended when it should be."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from sqlalchemy import event as sql_event
from sqlalchemy import select
from starlette.requests import Request

from newsletter.accounts.models import UserSession
from newsletter.broadcasts import control
from newsletter.broadcasts.accounting import Accounting
from newsletter.broadcasts.ledger import Outcome
from newsletter.broadcasts.live import Standing, Watch
from newsletter.broadcasts.models import BroadcastState, DeliveryState, PauseReason
from newsletter.cli.serve import listen_locally, serving
from newsletter.mail.replies import Reply
from newsletter.web.desk.broadcasts import streaming, watching
from newsletter.web.desk.broadcasts.streaming import Stream
from newsletter.web.desk.broadcasts.watching import Pace, Publishers
from newsletter.web.desk.editor import editor_of
from tests import factories, ledger_moves
from tests.desk import Seat, text_of

PEOPLE = [f"r{number}@example.org" for number in range(6)]


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test moves rows and looks: nobody waits for a clock."""
    monkeypatch.setattr(watching, "REST_SECONDS", 0.001)
    monkeypatch.setattr(watching, "LONGEST_REST_SECONDS", 0.001)
    monkeypatch.setattr(streaming, "TICK_SECONDS", 0.01)


@pytest.fixture
def broadcast_id(seat: Seat) -> int:
    return factories.sending(seat.sessions, PEOPLE)


class App:
    """What a stream needs of the application."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.ending = False
        self.state = SimpleNamespace(
            runtime=seat.runtime,
            publishers=Publishers(seat.runtime),
            is_ending=lambda: self.ending,
        )

    def request(self, broadcast_id: int, last_event_id: str = "") -> Request:
        cookie = "; ".join(f"{name}={value}" for name, value in self.seat.client.cookies.items())
        headers = [(b"cookie", cookie.encode()), (b"last-event-id", last_event_id.encode())]
        path = f"/broadcasts/{broadcast_id}/stream"
        request = Request(
            {
                "type": "http",
                "method": "GET",
                "scheme": "http",
                "app": self,
                "path": path,
                "query_string": b"",
                "headers": headers,
                "path_params": {"broadcast_id": str(broadcast_id)},
                "server": ("127.0.0.1", 8000),
            }
        )
        secret = self.seat.client.cookies["desk"]
        with self.seat.sessions.reading() as session:
            request.state.editor = editor_of(session, secret)
        return request

    @asynccontextmanager
    async def stream(self, broadcast_id: int, last_event_id: str = "") -> AsyncIterator["Told"]:
        told = Told(Stream(self.request(broadcast_id, last_event_id), broadcast_id).run())
        try:
            yield told
        finally:
            await told.events.aclose()  # type: ignore[attr-defined]


class Told:
    """What a browser hears, event by event."""

    def __init__(self, events: AsyncIterator[str]) -> None:
        self.events = events
        self.last_id = ""

    async def until(self, name: str, holding: str = "") -> str:
        """The text of the next event of that name that holds this."""
        async for text in self.events:
            number = re.search(r"^id: (.+)$", text, re.MULTILINE)
            self.last_id = number[1] if number else self.last_id
            html = "\n".join(re.findall(r"^data: (.*)$", text, re.MULTILINE))
            if text.startswith(f"event: {name}\n") and holding in text_of(html):
                return text_of(html)
        raise AssertionError(f"it ended without {name}")


def run(work: Any) -> Any:
    return asyncio.run(asyncio.wait_for(work, 60))


def accept(seat: Seat, broadcast_id: int, number: int = 0) -> None:
    """One recipient is offered the mail and it is taken."""
    ours = ledger_moves.claim(seat.sessions, broadcast_id, 1)
    assert ledger_moves.intend(seat.sessions, ours)
    row = ours.rows[0].delivery_id
    outcome = Outcome(row, DeliveryState.ACCEPTED, reply=Reply(250, "2.0.0", "ok"))
    assert ledger_moves.record(seat.sessions, ours.token, outcome)


def adds_up(figures: str) -> bool:
    line = figures.split(" of ", maxsplit=1)[0]
    candidates, parts = line.split(" candidates = ")
    counted = [
        int(n) for n in re.findall(r"(\d+) (?:accepted|failed|skipped|in|left|still)", parts)
    ]
    return int(candidates) == sum(counted)


def test_figures_add_up_while_rows_move(seat: Seat, broadcast_id: int) -> None:
    async def watch() -> None:
        async with App(seat).stream(broadcast_id) as told:
            before = await told.until("progress", "0 accepted")
            assert adds_up(before)
            for number in range(1, 4):
                await asyncio.to_thread(accept, seat, broadcast_id)
                seen = await told.until("progress", f"{number} accepted")
                assert adds_up(seen), seen
            with seat.sessions.writing() as session:
                control.cancel(session, broadcast_id)
            seen = await told.until("progress", "3 skipped")
            assert adds_up(seen), seen
            await told.until("over")
            assert [text async for text in told.events] == []

    run(watch())


def test_only_what_changed_is_sent(seat: Seat, broadcast_id: int) -> None:
    """A button does not leave under a finger because a figure has moved."""

    async def watch() -> None:
        async with App(seat).stream(broadcast_id) as told:
            assert "Pause" in await told.until("actions")
            await asyncio.to_thread(accept, seat, broadcast_id)
            async for text in told.events:
                assert not text.startswith(("event: actions", "event: state"))
                if "1 accepted" in text:
                    break
            with seat.sessions.writing() as session:
                control.pause(session, broadcast_id, PauseReason.OPERATOR)
            assert "Resume" in await told.until("actions")

    run(watch())


def test_a_browser_that_comes_back_hears_only_what_is_new(seat: Seat, broadcast_id: int) -> None:
    async def watch() -> None:
        app = App(seat)
        async with app.stream(broadcast_id) as first:
            await first.until("progress")
            async with app.stream(broadcast_id, first.last_id) as again:
                waiting = asyncio.create_task(again.until("state"))
                with seat.sessions.writing() as session:
                    control.pause(session, broadcast_id, PauseReason.OPERATOR)
                assert "Paused" in await waiting, "what it knew was sent again"
        async with app.stream(broadcast_id, "of another process-1") as other:
            assert "Paused" in await other.until("state")

    run(watch())


def test_twenty_who_watch_cost_as_much_as_one(
    seat: Seat, broadcast_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    monkeypatch.setattr(watching, "REST_SECONDS", 600)
    monkeypatch.setattr(watching, "LONGEST_REST_SECONDS", 600)

    def count(*about: Any) -> None:
        looks.append(about[2])

    async def watch() -> None:
        app = App(seat)
        streams = [Stream(app.request(broadcast_id), broadcast_id).run() for _ in range(20)]
        sql_event.listen(seat.sessions.engine, "before_cursor_execute", count)
        heard = await asyncio.gather(*(Told(stream).until("progress") for stream in streams))
        sql_event.remove(seat.sessions.engine, "before_cursor_execute", count)
        assert len(set(heard)) == 1
        for stream in streams:
            await stream.aclose()  # type: ignore[attr-defined]
        assert app.state.publishers.latest(broadcast_id) is None, "the last one stopped it"

    run(watch())
    assert len([sql for sql in looks if "UNION ALL" in sql]) == 1


def test_who_is_logged_out_is_told_and_hears_no_more(
    seat: Seat, broadcast_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "ASK_AGAIN_SECONDS", 0)

    async def watch() -> None:
        async with App(seat).stream(broadcast_id) as told:
            await told.until("progress")
            with seat.sessions.writing() as session:
                for row in session.scalars(select(UserSession)):
                    session.delete(row)
            assert "not logged in any more" in await told.until("state", "logged in")
            await told.until("over")
            assert [text async for text in told.events] == []

    run(watch())


def test_a_stream_ends_with_the_process(seat: Seat, broadcast_id: int) -> None:
    async def watch() -> None:
        app = App(seat)
        async with app.stream(broadcast_id) as told:
            await told.until("progress")
            app.ending = True
            assert not [text async for text in told.events if text.startswith("event: over")]

    run(watch())


def test_what_is_over_ends_at_once(seat: Seat, broadcast_id: int) -> None:
    with seat.sessions.writing() as session:
        control.cancel(session, broadcast_id)
    answer = seat.get(f"/broadcasts/{broadcast_id}/stream")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "event: over" in answer.text
    assert "sse-connect" not in seat.page(f"/broadcasts/{broadcast_id}")


def test_the_rest_is_a_hundred_times_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "REST_SECONDS", 1)
    monkeypatch.setattr(watching, "LONGEST_REST_SECONDS", 15)
    assert [watching.rest_seconds(took) for took in (0.001, 0.05, 2)] == [1, 5, 15]


def test_a_server_that_is_told_to_end_does_not_wait_for_those_who_watch(
    seat: Seat, broadcast_id: int
) -> None:
    """It has no patience of its own here: were the stream not to end, this would never."""
    listening = listen_locally()
    host, port = listening.getsockname()
    cookies = dict(seat.client.cookies)
    base = f"http://{host}:{port}"
    with httpx2.Client(base_url=base, cookies=cookies, timeout=60) as client, ExitStack() as open_:
        with serving(seat.runtime, listening):
            path = f"/broadcasts/{broadcast_id}/stream"
            answer = open_.enter_context(client.stream("GET", path))
            lines = answer.iter_lines()
            assert next(line for line in lines if line.startswith("event: ")) == "event: state"
        assert "event: over" not in list(lines), "the browser comes back to the next process"


def test_the_rate_is_that_of_the_last_minute(seat: Seat, broadcast_id: int) -> None:
    with seat.sessions.reading() as session:
        standing = Watch(broadcast_id).look(session)

    def settled(number: int) -> Standing:
        states = {DeliveryState.ACCEPTED: number, DeliveryState.PENDING: 6_000 - number}
        return replace(standing, accounts=Accounting(6_000, {}, states))

    pace = Pace()
    rates = [pace.of(at, settled(n)) for at, n in ((0, 0), (1, 50), (10, 1_000), (75, 2_300))]
    assert rates == [None, None, 100, 20]
    assert pace.of(76, replace(settled(2_300), state=BroadcastState.PAUSED)) is None
    assert pace.of(80, settled(2_300)) is None, "what stood still in between does not count"
