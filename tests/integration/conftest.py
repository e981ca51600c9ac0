"""Fixtures of asyncio code, and a reader with a mail and the pages its links lead to."""

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import unescape
from typing import Any

import pytest
import uvloop
from bs4 import BeautifulSoup
from sqlalchemy import select
from starlette.testclient import TestClient

from newsletter.accounts.permissions import Role
from newsletter.broadcasts.models import Delivery, DeliveryState
from newsletter.broadcasts.planning import frozen_content
from newsletter.core.db import Sessions, connect
from newsletter.core.runtime import Runtime
from newsletter.core.tokens import TokenKeys
from newsletter.rendering.compiled import WireForm
from newsletter.rendering.message import personalise, prepare
from newsletter.tracking.models import Event, EventKind
from newsletter.web.app import create_app
from newsletter.web.public import sign_up
from subscribers.models import ConsentEvent, Subscription
from subscribers.recipient import Recipient
from tests import factories
from tests.desk import Seat, log_in, open_desk
from tests.ready_to_send import Ready, ready_at
from tests.servers.kept_database import KeptDatabase
from tests.sign_up import AT_EASE, Desk
from tests.sign_up import open_desk as open_form
from tests.smtp_talk import Run, T
from tests.two_newsletters import Two, two_newsletters

BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}


@dataclass
class Mailed:
    """A reader with a mail, and every address in it."""

    runtime: Runtime
    client: TestClient
    broadcast_id: int
    delivery_id: int
    one_click: str
    body_link: str
    preferences: str
    pixel: str
    links: list[str]
    addresses: list[str]
    """Every one of ours that the mail holds: headers, HTML, text."""

    @property
    def urls(self) -> list[str]:
        return [*self.addresses, "/archive/field-notes"]

    def standing(self) -> tuple[list[str], int]:
        """Statuses and consents, and how many changes were witnessed."""
        with self.runtime.sessions.reading() as session:
            found = select(Subscription.status, Subscription.tracking_consent)
            rows = session.execute(found.order_by(Subscription.id))
            return [str(row) for row in rows], len(session.scalars(select(ConsentEvent)).all())

    def events(self, kind: EventKind) -> list[Event]:
        with self.runtime.sessions.reading() as session:
            return list(session.scalars(select(Event).where(Event.kind == kind).order_by(Event.id)))


def to_undo(page: str) -> str:
    """Where the button leads, on the page that answers a leaving, that takes it back."""
    (path,) = re.findall(r'action="(/undo/[^"]+)"', page)
    return str(path)


@pytest.fixture
def seat(sqlite_sessions: Sessions, keys: TokenKeys) -> Iterator[Seat]:
    """An admin of everything at the desk, on SQLite; there is one newsletter, Field Notes."""
    with open_desk(sqlite_sessions, keys) as made:
        yield made


@pytest.fixture
def seats(seat: Seat) -> Iterator[Callable[..., Seat]]:
    """Others at the same desk: `seats(Role.AUTHOR)`; `newsletter_id=` narrows the role to one."""
    with ExitStack() as open_ones:

        def others(role: Role, newsletter_id: int | None = None) -> Seat:
            return open_ones.enter_context(log_in(seat.runtime, role, newsletter_id))

        yield others


@pytest.fixture
def two(seat: Seat) -> Two:
    return two_newsletters(seat.sessions, seat.newsletter_id)


@pytest.fixture
def ours(two: Two, seats: Callable[..., Seat]) -> Seat:
    """An admin of our newsletter alone."""
    return seats(Role.ADMIN, newsletter_id=two.ours)


@pytest.fixture
def ready(seat: Seat) -> Ready:
    return ready_at(seat)


@pytest.fixture
def postgresql(kept_database: KeptDatabase) -> Iterator[Sessions]:
    """This version's tables on PostgreSQL, for what SQLite has not."""
    with kept_database.lent() as url:
        sessions = connect(url)
        yield sessions
        sessions.engine.dispose()


@pytest.fixture
def mailed(sessions: Sessions, keys: TokenKeys) -> Iterator[Mailed]:
    runtime = factories.runtime(sessions, keys)
    broadcast_id = factories.sending(sessions, ["ada@example.org", "bob@example.org"])
    (row, _) = factories.deliveries(sessions, broadcast_id).values()
    with sessions.writing() as session:
        mail = prepare(frozen_content(session, broadcast_id), WireForm.INDIVIDUAL)
        for delivery in session.scalars(select(Delivery)):
            delivery.state = DeliveryState.ACCEPTED
    person = Recipient(row.subscriber_id, row.address, row.address_key)
    wire = personalise(mail, person, row.id, keys)
    parsed = message_from_bytes(wire, EmailMessage, policy=policy.default)
    page = unescape(parsed.get_body(["html"]).get_content())

    def path(found: str) -> str:
        return re.sub(r"^http://[^/]+", "", found)

    hrefs = [path(url) for url in re.findall(r'href="([^"]+)"', page)]
    with TestClient(create_app(runtime), follow_redirects=False, headers=BROWSER) as client:
        yield Mailed(
            runtime,
            client,
            broadcast_id,
            row.id,
            path(str(parsed["List-Unsubscribe"]).strip("<>")),
            next(href for href in hrefs if "/u/" in href),
            next(href for href in hrefs if "/p/" in href),
            path(re.findall(r'src="([^"]+\.gif)"', page)[0]),
            [href for href in hrefs if "/c/" in href],
            _our_addresses(parsed, page),
        )


def _our_addresses(mail: EmailMessage, page: str) -> list[str]:
    """As a scanner finds them, by their look."""
    text = mail.get_body(["plain"]).get_content()
    headers = " ".join(str(value) for value in mail.values())
    soup = BeautifulSoup(page, "html.parser")
    found = [str(tag[name]) for name in ("href", "src") for tag in soup.select(f"[{name}]")]
    found += re.findall(r"https?://[^\s<>)]+", f"{headers} {text}")
    ours = factories.settings().site.public_url
    return list(dict.fromkeys(url.removeprefix(ours) for url in found if url.startswith(ours)))


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Every test runs on both event loops; what a loop complains of fails it."""

    def on_loop(work: Coroutine[Any, Any, T]) -> T:
        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        complaints: list[dict[str, Any]] = []
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.get_loop().set_exception_handler(lambda _, about: complaints.append(about))
            result = runner.run(work)
        assert complaints == []
        return result

    return on_loop


@pytest.fixture(params=[True, False], ids=["pipelined", "in turn"])
def pipelining(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def desk(sessions: Sessions, keys: TokenKeys, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A list with a public form that answers at once and has limits that no test comes near."""
    monkeypatch.setattr(sign_up, "ANSWER_SECONDS", 0)
    with open_form(sessions, keys, signup=AT_EASE) as opened:
        yield opened
