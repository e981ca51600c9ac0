"""The first run: once, by whoever runs the machine."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from httpx2 import Response
from pydantic import HttpUrl
from sqlalchemy import select
from starlette.testclient import TestClient

from newsletter.accounts import first_run, users
from newsletter.accounts.models import User
from newsletter.accounts.permissions import Role
from newsletter.cli import state
from newsletter.cli.serve import _say_how_to_begin
from newsletter.cli.users import set_up_code
from newsletter.core.db import Sessions
from newsletter.core.runtime import Runtime
from newsletter.core.sections import RelaySettings, SiteSettings
from newsletter.core.tokens import TokenKeys
from newsletter.issues.models import Newsletter
from newsletter.mail.address import Address
from newsletter.web.app import create_app
from tests import factories
from tests.desk import ORIGIN, PASSWORD, form_token, text_of
from tests.smtp_server import SmtpServer

FIRST = {
    "email": "ada@example.org",
    "password": PASSWORD,
    "name": "Field Notes",
    "sender_address": "editor@example.org",
    "postal_address": "1 Example Street",
}
HTTPS = "https://news.example.org"
KEYS = TokenKeys.from_secrets("a secret of these tests, long enough to be one")
CODE = first_run.set_up_code(KEYS)
READY = first_run.set_up_path(KEYS)


@contextmanager
def browser(
    runtime: Runtime, base: str = ORIGIN, ip: str = "127.0.0.1", **headers: str
) -> Iterator[TestClient]:
    with TestClient(
        create_app(runtime),
        base_url=base,
        client=(ip, 50_000),
        follow_redirects=False,
        headers={"Origin": base, **headers},
    ) as client:
        yield client


def send(client: TestClient, path: str = "/set-up", **fields: str) -> Response:
    token = form_token(client.get("/set-up").text)
    return client.post(path, data={"form_token": token, "code": CODE, **fields})


@pytest.fixture
def keys() -> TokenKeys:
    return KEYS


@pytest.fixture
def runtime(sqlite_sessions: Sessions, keys: TokenKeys) -> Runtime:
    return factories.runtime(sqlite_sessions, keys)


@pytest.fixture
def on_the_web(sqlite_sessions: Sessions, keys: TokenKeys) -> Runtime:
    site = SiteSettings(base_url=HttpUrl(HTTPS))
    return factories.runtime(sqlite_sessions, keys, site=site)


def everybody(runtime: Runtime) -> list[str]:
    with runtime.sessions.reading() as session:
        return list(session.scalars(select(User.email)))


def test_serve_says_where_it_listens_or_what_readers_use(
    runtime: Runtime, on_the_web: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    _say_how_to_begin(runtime, "http://127.0.0.1:8123")
    said = capsys.readouterr().out
    assert f"begin at http://127.0.0.1:8123{READY}\n" in said
    assert f"/set-up there, set-up code {CODE}\n" in said
    _say_how_to_begin(on_the_web, "http://127.0.0.1:8123")
    assert f"begin at {HTTPS}{READY}\n" in capsys.readouterr().out


def test_the_command_says_when_it_cannot_know_where_serve_listens(
    runtime: Runtime,
    on_the_web: Runtime,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for known, is_in_doubt in ((runtime, True), (on_the_web, False)):
        monkeypatch.setattr(state, "runtime", lambda known=known: known)
        set_up_code()
        said = capsys.readouterr().out
        assert f"{READY}\nSet-up code: {CODE}\n" in said
        assert ("site.base_url is not set" in said) == is_in_doubt


def test_from_nothing_to_a_desk_in_one_form(runtime: Runtime) -> None:
    with browser(runtime) as client:
        assert client.get("/login").headers["location"] == "/set-up"
        page = client.get(READY).text
        assert 'value="editor@example.org"' in page, "as newsletter.toml says"
        assert "[[relays]]" in page
        assert "NEWSLETTER_RELAYS=" in page
        assert "?tls=none" in page
        assert 'data-here="1"' in page
        assert "desk/time_zone.js" in page
        answer = send(client, **FIRST, time_zone="Europe/Vienna")
        assert answer.status_code == 303
        assert "Field Notes" in client.get("/").text, "logged in at once"
        assert client.get("/set-up").headers["location"] == "/login"
        token = form_token(client.get("/account").text)
        again = client.post("/set-up", data={"form_token": token, **FIRST})
        assert again.headers["location"] == "/login"
    with runtime.sessions.reading() as session:
        first = session.scalars(select(User)).one()
        made = session.scalars(select(Newsletter)).one()
    assert (first.role, first.email) == (Role.ADMIN, "ada@example.org")
    assert first.time_zone == "Europe/Vienna"
    assert (made.slug, made.sender_address) == ("field-notes", "editor@example.org")


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("email", "ada", "is not an e-mail address"),
        ("password", "short", "at least 12 characters"),
        ("password", "ada@example.org", "hard to guess"),
        ("name", "", "Expected a name"),
        ("sender_address", "", "Every mail needs one."),
        ("postal_address", "", "Every mail needs one."),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_made(
    runtime: Runtime, field: str, typed: str, said: str
) -> None:
    with browser(runtime) as client:
        answer = send(client, **FIRST | {field: typed})
    assert answer.status_code == 422
    assert said in text_of(answer.text)
    assert PASSWORD not in answer.text
    assert everybody(runtime) == []


def test_the_relay_is_tried_with_the_result_in_words(
    sqlite_sessions: Sessions, keys: TokenKeys
) -> None:
    with SmtpServer() as server:
        relays = (
            RelaySettings(name="main", url=f"smtp://127.0.0.1:{server.port}?tls=none"),
            RelaySettings(name="gone", url="smtp://user:hunter2-hunter2@127.0.0.1:1?tls=none"),
        )
        runtime = factories.runtime(sqlite_sessions, keys, relays=relays)
        with browser(runtime) as client:
            answer = send(client, "/set-up/relay")
    said = text_of(answer.text)
    assert "main It answers, over no encryption at all" in said
    assert "gone No mail server can be reached there." in said
    assert "hunter2" not in answer.text


def test_a_newsletter_that_is_there_already_is_not_asked_for(runtime: Runtime) -> None:
    with runtime.sessions.writing() as session:
        factories.stored_issue(session)
    with browser(runtime) as client:
        page = client.get(READY).text
        assert "Begin" in page
        assert "Your newsletter" not in page
        assert send(client, email=FIRST["email"], password=PASSWORD).status_code == 303
    with runtime.sessions.reading() as session:
        assert session.scalars(select(Newsletter.slug)).all() == ["field-notes"]


@pytest.mark.parametrize(
    "how",
    [
        {"base": HTTPS, "ip": "203.0.113.9"},
        {"ip": "203.0.113.9"},
        {"ip": "127.0.0.1"},  # as whoever comes through a proxy here that does not say so
    ],
)
def test_nobody_begins_without_the_code(
    on_the_web: Runtime, runtime: Runtime, how: dict[str, Any]
) -> None:
    asked = on_the_web if "base" in how else runtime
    wrong = "abcd-efgh-ijkl-mnop"
    with browser(asked, **how) as client:
        page = client.get("/set-up").text
        assert "Set-up code" in page
        assert "[[relays]]" not in page
        assert client.get(f"/set-up?code={wrong}").status_code == 403
        for path in ("/set-up", "/set-up/relay", "/set-up/code"):
            assert send(client, path, **FIRST, code=wrong).status_code == 403
            assert send(client, path, **FIRST, code="").status_code == 403
        assert everybody(asked) == []
        assert "Your newsletter" in send(client, "/set-up/code", code=f" {CODE.upper()} ").text
        assert send(client, **FIRST).status_code == 303
    assert everybody(asked) == ["ada@example.org"]


def test_over_http_from_elsewhere_nothing_is_set_up(runtime: Runtime) -> None:
    with browser(runtime, "http://news.example.org", "203.0.113.9") as client:
        assert client.get("/set-up").status_code == 403
        assert "https" in client.get("/set-up").text


def test_another_key_has_another_code(keys: TokenKeys) -> None:
    code = first_run.set_up_code(keys)
    assert first_run.is_set_up_code(keys, code.replace("-", " "))
    assert not first_run.is_set_up_code(TokenKeys.from_secrets("x" * 32), code)
    assert not first_run.is_set_up_code(keys, "")
    assert not first_run.is_set_up_code(keys, "ä" * 16)


def test_of_two_at_once_one_is_the_first(sessions: Sessions) -> None:
    """Both have looked, and seen nobody; the second waits for the first, and is too late."""
    begun, late = threading.Event(), []

    def second() -> None:
        begun.set()
        try:
            with sessions.writing() as session:
                first_run.add_first_admin(session, Address.parse("bob@example.org"), "x")
        except first_run.SomebodyIsHereError as error:
            late.append(error)

    thread = threading.Thread(target=second)
    with sessions.writing() as session:
        first_run.add_first_admin(session, Address.parse("ada@example.org"), "x")
        thread.start()
        begun.wait()
    thread.join()
    assert len(late) == 1
    with sessions.reading() as session:
        assert [user.email for user in users.everybody(session)] == ["ada@example.org"]
