"""An installation with something in every room, served; and the way to every page of it."""

import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product

import httpx2
import time_machine
from fastapi.routing import APIRoute
from playwright.sync_api import BrowserContext
from pydantic import HttpUrl, SecretStr
from sqlalchemy import select

from newsletter.broadcasts.models import Broadcast
from newsletter.cli.serve import listen_locally
from newsletter.core.db import Sessions, connect
from newsletter.core.fetch import Fetcher
from newsletter.core.runtime import Runtime
from newsletter.core.sections import RelaySettings, SiteSettings
from newsletter.core.tokens import TokenKeys
from newsletter.web.app import create_app
from newsletter.web.desk.routers import ROUTERS
from newsletter.web.outside_pictures import OutsidePictures
from subscribers import lists
from subscribers.models import SubscriberList
from tests import factories
from tests.desk import ERASURE_KEY
from tests.furnished import broadcasts, drafts, imports, issues, people, workers
from tests.furnished.people import TODAY, days_ago
from tests.servers.web import address_of, serving_app

RELAY = RelaySettings(name="main", url=SecretStr("smtp://relay.example:25?tls=none"))
_KEYS = TokenKeys.from_secrets("a secret of the tests, long enough to be one", [])
_PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")

Things = Mapping[str, Sequence[int | str]]
"""By path parameter, or by a whole path and its last parameter: what to look at, the best first."""


@dataclass(frozen=True, slots=True)
class Pages:
    """Paths, by what is there.

    Attributes:
        inside: pages for whoever is logged in.
        outside: pages for strangers too, such as the login.
        mails: mails as their readers see them, for frames of pages.
        parts: HTML and pictures that scripts or pages put into other pages.
    """

    inside: list[str]
    outside: list[str]
    mails: list[str]
    parts: list[str]


@dataclass(frozen=True, slots=True)
class House:
    """A furnished installation.

    Attributes:
        base: where it is served.
        secret: the seat of an admin of everything, for the cookie.
    """

    runtime: Runtime
    things: Things
    base: str
    secret: str

    def let_in(self, context: BrowserContext) -> None:
        """This browser is logged in."""
        context.add_cookies([{"name": "desk", "value": self.secret, "url": self.base}])

    def pages(self) -> Pages:
        """Every page of the desk, with things of every kind."""
        paths = [path for route in _routes() for path in paths_of(route, self.things)]
        with httpx2.Client(base_url=self.base, timeout=60) as stranger:
            outside = {path for path in paths if _kind(stranger, path) == "page"}
            stranger.cookies.set("desk", self.secret)
            kinds = {path: _kind(stranger, path) for path in paths}
        return Pages(
            inside=[path for path in paths if kinds[path] == "page" and path not in outside],
            outside=[path for path in paths if path in outside],
            mails=[path for path in paths if kinds[path] == "mail"],
            parts=[path for path in paths if kinds[path] == "part"],
        )


def paths_of(route: str, things: Things) -> list[str]:
    """The route's path with its parameters filled in.

    All things only where the path ends with them; on the way to something else the best.
    """
    names = _PARAMETER.findall(route)
    values = [things.get(f"{route} {name}") or things[name] for name in names]
    if not route.endswith("}"):
        names.append("")
    values = [several[:1] for several in values[: len(names) - 1]] + values[len(names) - 1 :]
    filled = []
    for chosen in product(*values):
        parts = iter(chosen)
        filled.append(_PARAMETER.sub(lambda _, parts=parts: str(next(parts)), route))  # type: ignore[misc]
    return filled


def _routes() -> list[str]:
    return [
        route.path
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and "GET" in (route.methods or ())
    ]


def _kind(client: httpx2.Client, path: str) -> str:
    """A page, a mail, a part of a page, or else: a file, a stream, the way to another page."""
    with client.stream("GET", path) as answer:
        if answer.is_error:
            return "page"  # whoever walks through all of them will stumble over it
        kind = answer.headers.get("content-type", "")
        if answer.is_redirect or not kind.startswith(("text/html", "image/svg+xml")):
            return "else"
        is_whole = next(answer.iter_text(), "").lower().startswith("<!doctype html>")
        if is_whole and "sandbox" in answer.headers["content-security-policy"]:
            return "mail"
        return "page" if is_whole else "part"


@contextmanager
def furnished(url: str, listening: socket.socket | None = None) -> Iterator[House]:
    """Into a database with this version's tables, empty; served while the block runs.

    It is a Wednesday in June 2026 there, and there is no other server in the world.
    """
    with time_machine.travel(TODAY):
        sessions, listening = connect(url), listening or listen_locally()
        site = SiteSettings(base_url=HttpUrl(address_of(listening)))
        settings = factories.settings(relays=(RELAY,), site=site)
        runtime = Runtime(settings, sessions, _KEYS, ERASURE_KEY)
        things, secret = _furnish(sessions, address_of(listening))
        with serving_app(create_app(runtime, Fetcher(resolve=lambda *_: [])), listening) as base:
            yield House(runtime, things, base, secret)
        sessions.engine.dispose()


def _furnish(sessions: Sessions, base: str) -> tuple[Things, str]:
    day, first = issues.weekly(0)
    with days_ago(151), sessions.writing() as session:
        ours = issues.store(session, first).newsletter_id
        dinner = issues.text_of("second-helping", "Second Helping", "Salt, and when", day)
        other = issues.store(session, dinner).newsletter_id
        lists.create_list(session, "Cooks", other)
    here = people.people(sessions, ours, ERASURE_KEY)
    users = workers.workers(sessions, ours, other)
    with sessions.reading() as session:
        of_ours = select(SubscriberList.id).where(SubscriberList.newsletter_id == ours)
        list_ids = list(session.scalars(of_ours.order_by(SubscriberList.id)))
    sent = broadcasts.sent_weeks(sessions, here["list_id"])
    others = broadcasts.one_of_each(sessions, list_ids)
    draft = drafts.draft(sessions, base, users["author"], users["admin"])
    runs = imports.imports(sessions, here["list_id"], list_ids[-1], ERASURE_KEY)
    with sessions.writing() as session:
        invitation = workers.invite(session, ours)
        secret = workers.take_seat(session, users["admin"], ours)
    things: dict[str, Sequence[int | str]] = {
        **{name: [thing] for name, thing in here.items()},
        "issue_id": [draft, _issue_of(sessions, others[0])],
        "number": [2, 1],
        "/issues/{issue_id}/images/{number} number": [1],
        "broadcast_id": [*others[:1], sent[-1], *others[1:]],
        "newsletter_id": [ours],
        "user_id": [users["author"]],
        "relay": ["main"],
        "token_id": [1],
        "import_id": runs,
        "/invitation/{token} token": [invitation],
        "/pictures/{token} token": [_picture(base)],
    }
    return things, secret


def _picture(base: str) -> str:
    """One that a mail shows; nobody finds its server."""
    shown = OutsidePictures(base, _KEYS, Fetcher()).address("https://example.org/a.png")
    return shown.rpartition("/")[2]


def _issue_of(sessions: Sessions, broadcast_id: int) -> int:
    with sessions.reading() as session:
        return session.get_one(Broadcast, broadcast_id).issue_id
