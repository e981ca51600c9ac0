"""The pages in a real Chromium: with JavaScript it changes nothing, and it can prove its work."""

import re
from collections.abc import Iterator
from datetime import timedelta
from threading import Event

import pytest
import time_machine
from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.cli.serve import listen_locally, serving
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.tokens import TokenKeys
from newsletter.sending.models import SystemMail
from newsletter.web import app as web_app
from newsletter.web import headers
from newsletter.web.public.sign_up_answers import PageAnswers
from newsletter.web.public.sign_up_form import Submission, public_form
from subscribers.models import ConsentEvent, Subscription
from subscribers.sign_up_limits import Judgement, Passage
from tests.conftest import need
from tests.servers.axe import findings
from tests.servers.browser import opened
from tests.servers.packages import CHROMIUM, NPM
from tests.sign_up import AT_EASE, Desk, open_desk, path_of, value_of

ON_SQLITE = pytest.mark.parametrize("sessions", ["sqlite"], indirect=True)
ADA = "ada@example.org"
WATCHING = b'<script type="module" src="/watching.js"></script></head>'
HELD = b'<img src="/held" alt=""></main>'
WATCH = """
const send = document.getElementById("send");
new MutationObserver(() => { new Image().src = "/found"; }).observe(send, {attributes: true});
"""


@pytest.fixture
def desk(sessions: Sessions, keys: TokenKeys) -> Iterator[Desk]:
    need(CHROMIUM)
    limits = AT_EASE.model_copy(update={"ip_soft": 1})
    with open_desk(sessions, keys, signup=limits) as made:
        yield made


def standing(session: Session) -> list[object]:
    rows = [
        *session.scalars(select(Subscription.status).order_by(Subscription.id)),
        *session.scalars(select(ConsentEvent.id)),
        *session.scalars(select(SystemMail.id)),
    ]
    return [str(row) for row in rows]


@ON_SQLITE
def test_a_browser_that_opens_every_page_of_the_way_changes_nothing(desk: Desk) -> None:
    desk.send()
    paths = ["/s/mornings", desk.confirm_path(), f"{desk.confirm_path()}/again"]
    listening = listen_locally()
    port = listening.getsockname()[1]
    with desk.runtime.sessions.reading() as session:
        before = standing(session)
    with serving(desk.runtime, listening):
        pages = [opened(f"http://127.0.0.1:{port}{path}") for path in paths]
    assert "Sign up</button>" in pages[0]
    assert "Confirm my subscription</button>" in pages[1]
    with desk.runtime.sessions.reading() as session:
        assert standing(session) == before


@ON_SQLITE
def test_the_pages_script_finds_the_proof_under_its_policy_and_sends_nothing_by_itself(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page of a POST, shown by a GET that loads until the button is there: no driver needed."""
    found = Event()
    made = web_app.create_app(desk.runtime)

    @made.get("/unproved")
    def unproved(request: Request) -> Response:
        with desk.runtime.sessions.reading() as session:
            form = public_form(session, "mornings")
        assert form
        answers = PageAnswers(request, desk.runtime.keys, form, Submission(ADA))
        shown = answers.unproved(Judgement(Passage.PROOF, 60))
        page = bytes(shown.body).replace(b"</head>", WATCHING).replace(b"</main>", HELD)
        return HTMLResponse(page, headers={"Content-Security-Policy": headers.WITH_WORKER})

    @made.get("/watching.js")
    def watching() -> Response:
        return Response(WATCH, media_type="text/javascript")

    @made.get("/held")
    def held() -> Response:
        found.wait(60)
        return Response(status_code=404)

    @made.get("/found")
    def finding() -> Response:
        found.set()
        return Response(status_code=404)

    monkeypatch.setattr("newsletter.web.app.create_app", lambda _: made)
    listening = listen_locally()
    port = listening.getsockname()[1]
    with serving(desk.runtime, listening):
        page = opened(f"http://127.0.0.1:{port}/unproved")
    assert "<p>Thank you for waiting. Please press the button once more.</p>" in page
    (button,) = re.findall(r"<button[^>]*>", page)
    assert "hidden" not in button
    proof = value_of("altcha", page)
    assert desk.mails() == []
    embedded = "/s/mornings/embed"
    assert desk.post({"email": "bob@example.org"}, embedded).status_code == 200
    assert desk.post({"email": ADA}, embedded).status_code == 429
    assert desk.post({"email": ADA, "altcha": proof}, embedded).status_code == 200
    assert desk.mails()[-1] == ("confirmation", ADA)


@ON_SQLITE
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_no_page_keeps_anybody_out(desk: Desk, dark: bool) -> None:
    """axe-core: no serious finding, in either scheme, in the width of a telephone."""
    need(NPM)
    company = {"key": "company", "label": "Company", "required": True}
    desk.change(fields=[company])
    embedded = "/s/mornings/embed"
    sent = {"email": ADA, "field_company": "Engines"}
    answers = {
        "form": desk.client.get("/s/mornings"),
        "wrong": desk.send("ada@"),
        "hasty": desk.post(sent),
        "done": desk.post(sent, embedded),
        "unproved": desk.post(sent, embedded),
        "confirm": desk.client.get(confirm_path := desk.confirm_path()),
        "again": desk.client.post(f"{confirm_path}/again"),
    }
    with time_machine.travel(now() + timedelta(days=8), tick=False):
        answers["too-late"] = desk.client.get(confirm_path)
    answers["confirmed"] = desk.client.post(confirm_path)
    desk.client.post(path_of("u", desk.letter()))
    answers["withdrawn"] = desk.client.post(confirm_path)
    statuses = [answer.status_code for answer in answers.values()]
    assert statuses == [200, 422, 422, 200, 429, 200, 200, 410, 200, 410]
    pages = {f"/{name}": answer.text for name, answer in answers.items()}
    style = desk.client.get("/static/public.css").content
    assert findings(pages, {"/static/public.css": style}, dark=dark) == []


def test_a_page_that_keeps_people_out_is_found() -> None:
    need(CHROMIUM, NPM)
    page = '<html lang="en"><head><title>x</title></head><main><input></main></html>'
    assert "label" in " ".join(findings({"/x": page}, {}, dark=False))
