"""The pages in a real Chromium with JavaScript: it changes nothing, and they keep nobody out."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient

from newsletter.cli.serve import listen_locally, serving
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.erasure_key import ErasureKey
from newsletter.core.runtime import Runtime
from newsletter.core.tokens import TokenKeys
from newsletter.rendering.mail_tokens import (
    Door,
    LeaveToken,
    OwnerToken,
    PreferencesToken,
    UndoToken,
)
from newsletter.sending.models import SystemMail
from newsletter.web.app import create_app
from subscribers.models import ConsentEvent, Subscriber, Subscription
from tests import factories
from tests.conftest import need
from tests.integration.conftest import to_undo
from tests.servers.axe import findings
from tests.servers.browser import opened
from tests.servers.packages import CHROMIUM, NPM

pytestmark = pytest.mark.parametrize("sessions", ["sqlite"], indirect=True)


@pytest.fixture
def runtime(sessions: Sessions, keys: TokenKeys) -> Runtime:
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        factories.subscribed(session, factories.a_list(session, issue=issue), ["ada@example.org"])
        factories.a_list(session, "Evenings", issue)
    return replace(factories.runtime(sessions, keys), erasure_key=ErasureKey(b"of the tests"))


def links(keys: TokenKeys) -> Mapping[str, str]:
    """The five kinds of links that a reader gets by mail."""
    until = int((now() + timedelta(hours=24)).timestamp())
    numbers = (1, 1, 0, 0)
    return {
        "header": f"/u/{LeaveToken(Door.HEADER, *numbers).mint(keys)}",
        "body": f"/u/{LeaveToken(Door.BODY, *numbers).mint(keys)}",
        "undo": f"/undo/{UndoToken(*numbers, now()).mint(keys)}",
        "mail": f"/p/{PreferencesToken(1, 1).mint(keys)}",
        "owner": f"/p/{OwnerToken(1, 1, until).mint(keys)}",
    }


def standing(sessions: Sessions) -> list[object]:
    with sessions.reading() as session:
        subscription = session.scalars(select(Subscription)).one()
        counts = [
            session.scalar(select(func.count()).select_from(table))
            for table in (Subscriber, ConsentEvent, SystemMail)
        ]
    return [subscription.status, subscription.tracking_consent, subscription.paused_until, *counts]


def test_a_browser_that_opens_every_page_changes_nothing(runtime: Runtime) -> None:
    need(CHROMIUM)
    before = standing(runtime.sessions)
    found = links(runtime.keys)
    paths = [*found.values(), f"{found['owner']}/erase"]
    listening = listen_locally()
    with serving(runtime, listening):
        base = f"http://127.0.0.1:{listening.getsockname()[1]}"
        for path in paths:
            assert "</main>" in opened(base + path)
    assert standing(runtime.sessions) == before


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_no_page_keeps_anybody_out(runtime: Runtime, *, dark: bool) -> None:
    need(CHROMIUM, NPM)
    found = links(runtime.keys)
    body, mail, owner = found["body"], found["mail"], found["owner"]
    month = (now() + timedelta(days=30)).date().isoformat()
    wrong = {"cadence": "pause", "until": "", "name": "a\x1b", "locale": "!", "time_zone": "?"}
    saved = {"cadence": "pause", "until": month, "tracking": "denied", "locale": "en", "name": "A"}
    with TestClient(create_app(runtime)) as client:
        answers = {
            "leave": client.get(body),
            "mail": client.get(mail),
            "owner": client.get(owner),
            "wrong": client.post(owner, data=wrong),
            "saved": client.post(owner, data=saved),
            "paused-mail": client.get(mail),
            "letter": client.post(f"{mail}/letter"),
            "forbidden": client.get(f"{mail}/erase"),
            "paused": client.post(f"{body}/pause"),
            "left": (left := client.post(body)),
            "said": client.post(f"{body}/reason", data={"reason": "other"}),
            "undo": client.get(to_undo(left.text)),
            "back": client.post(to_undo(left.text)),
            "erase": client.get(f"{owner}/erase"),
            "erased": client.post(f"{owner}/erase"),
        }
        style = client.get("/static/public.css").content
    refused = {name: answer.status_code for name, answer in answers.items() if answer.is_error}
    assert refused == {"wrong": 422, "forbidden": 403}
    pages = {f"/{name}": answer.text for name, answer in answers.items()}
    assert findings(pages, {"/static/public.css": style}, dark=dark) == []
