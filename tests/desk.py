"""People at the desk: browsers that are logged in, as an admin or with less to say."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from html import unescape
from itertools import count
from typing import Any

from bs4 import BeautifulSoup
from httpx2 import Response
from sqlalchemy import select
from starlette.testclient import TestClient

from newsletter.accounts import passwords, seats, users
from newsletter.accounts.permissions import Role
from newsletter.core.db import Sessions
from newsletter.core.erasure_key import ErasureKey
from newsletter.core.runtime import Runtime
from newsletter.core.tokens import TokenKeys
from newsletter.issues.models import Newsletter
from newsletter.issues.newsletters import add_newsletter
from newsletter.mail.address import Address
from newsletter.web.app import create_app
from tests import factories

ORIGIN = "http://127.0.0.1:8000"
PASSWORD = "seven green lanterns hum"
ERASURE_KEY = ErasureKey(b"an erasure key of the tests, long enough")
_numbers = count(1)


@dataclass
class Seat:
    """A browser at the desk."""

    runtime: Runtime
    client: TestClient
    editor_id: int
    email: str
    newsletter_id: int

    @property
    def sessions(self) -> Sessions:
        return self.runtime.sessions

    def get(self, path: str, **options: Any) -> Response:
        return self.client.get(path, **options)

    def page(self, path: str) -> str:
        """The HTML of a page that is there."""
        answer = self.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[-2000:]}"
        return str(answer.text)

    def read(self, path: str) -> str:
        """What a person reads on the page."""
        return text_of(self.page(path))

    def form_token(self) -> str:
        return form_token(self.page("/login"))

    def post(
        self,
        path: str,
        fields: Mapping[str, Any] | None = None,
        *,
        files: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """As a form of ours sends it; nothing is followed."""
        data = {"form_token": self.form_token(), **(fields or {})}
        said = {"Origin": ORIGIN, **(headers or {})}
        return self.client.post(path, data=data, files=files, headers=said)

    def done(self, path: str, fields: Mapping[str, Any] | None = None, **options: Any) -> str:
        """Post a form, see that it was taken, and read the page that it leads to."""
        answer = self.post(path, fields, **options)
        assert answer.status_code == 303, f"{path}: {answer.status_code} {text_of(answer.text)}"
        return self.read(answer.headers["location"])


def form_token(page: str) -> str:
    """The one in the forms of a page."""
    return str(re.findall(r'name="form_token" value="([^"]+)"', page)[0])


def text_of(page: str) -> str:
    """The words of a page, with single spaces."""
    soup = BeautifulSoup(page, "html.parser")
    for hidden in soup(["script", "style", "template"]):
        hidden.decompose()
    return " ".join(unescape(soup.get_text(" ")).split())


@contextmanager
def open_desk(
    sessions: Sessions, keys: TokenKeys, role: Role = Role.ADMIN, **settings: Any
) -> Iterator[Seat]:
    """An installation with one newsletter, Field Notes, and a user with this role everywhere."""
    runtime = Runtime(factories.settings(**settings), sessions, keys, ERASURE_KEY)
    with sessions.writing() as session:
        if session.scalar(select(Newsletter.id)) is None:
            add_newsletter(session, Newsletter(slug="field-notes", name="Field Notes"))
    with log_in(runtime, role) as seat:
        yield seat


@contextmanager
def log_in(runtime: Runtime, role: Role, newsletter_id: int | None = None) -> Iterator[Seat]:
    """Somebody new at the desk; with `newsletter_id` the role is for that newsletter alone."""
    address = Address.parse(f"{role}{next(_numbers)}@example.org")
    with runtime.sessions.writing() as session:
        everywhere = role if newsletter_id is None else None
        user = users.add(session, address, hashed_password(), everywhere)
        if newsletter_id is not None:
            users.set_membership(session, user, newsletter_id, role)
        first = session.scalars(select(Newsletter.id).order_by(Newsletter.id)).first()
        here = newsletter_id or first or 0
        secret = seats.take(session, user, here or None)
    with stranger(runtime) as client:
        client.cookies.set("desk", secret, domain="127.0.0.1")
        yield Seat(runtime, client, user.id, user.email, here)


@contextmanager
def stranger(runtime: Runtime) -> Iterator[TestClient]:
    """A browser that nobody is logged in with."""
    app = create_app(runtime)
    with TestClient(app, base_url=ORIGIN, follow_redirects=False) as client:
        yield client


@cache
def hashed_password() -> str:
    """Of PASSWORD, made once: hashing is slow on purpose."""
    return passwords.hashed(PASSWORD)
