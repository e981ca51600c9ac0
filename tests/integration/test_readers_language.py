"""Public pages and mails in a language that is not English, and how it is chosen."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from fastapi import Request

from newsletter.core import catalogues
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.tokens import TokenKeys
from newsletter.issues.parsing import parse
from newsletter.rendering.compiler import compile_issue
from newsletter.rendering.mail_tokens import (
    ConfirmToken,
    Door,
    LeaveToken,
    OwnerToken,
    PreferencesToken,
)
from newsletter.rendering.system import compile_system_mail
from newsletter.rendering.templates import TemplateFolders
from newsletter.web.public.sign_up_answers import PageAnswers
from newsletter.web.public.sign_up_form import Submission, public_form
from subscribers.models import Subscriber, SubscriberList
from subscribers.sign_up_limits import Judgement, Passage
from tests import factories, pseudo
from tests.integration.conftest import to_undo
from tests.messages import PUBLIC
from tests.sign_up import AT_EASE, Desk, open_desk, value_of

ISSUE = f"""---
lang: {pseudo.LANGUAGE}
date: 2026-06-17
categories: [Eins]
---
## Eins
### [Titel](https://example.org/a)
Wort

## Zwei
Wort
"""
ADA, BOB, CYD = "ada@example.org", "bob@example.org", "cyd@example.org"


@pytest.fixture
def desk(sqlite_sessions: Sessions, keys: TokenKeys) -> Iterator[Desk]:
    with open_desk(sqlite_sessions, keys, signup=AT_EASE) as opened:
        yield opened


@pytest.fixture
def spoken(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A browser that asks for the language of `tests.pseudo`."""
    pseudo.install(tmp_path / "locale", monkeypatch)
    desk.client.headers["Accept-Language"] = f"{pseudo.LANGUAGE}-CH,en;q=0.5"
    desk.change(welcomes=True)
    yield desk
    monkeypatch.undo()
    catalogues.forget()


def read(answer: Any, status: int = 200) -> str:
    """The page, once it is seen that nothing in it is English."""
    assert answer.status_code == status
    assert answer.headers["Content-Language"] == pseudo.LANGUAGE
    assert f'<html lang="{pseudo.LANGUAGE}"' in answer.text
    assert pseudo.untranslated(answer.text) == [], answer.url
    return str(answer.text)


def check_letter(desk: Desk, kind: str) -> None:
    """That the last mail is of this kind, and nothing in it is English."""
    assert desk.mails()[-1][0] == kind
    letter = desk.letter()
    assert str(letter["Subject"]).startswith("⟦")
    for part in ("html", "plain"):
        assert pseudo.untranslated(letter.get_body([part]).get_content()) == []


def speaks(desk: Desk, locale: str) -> int:
    """Ada says which language is hers."""
    with desk.runtime.sessions.writing() as session:
        ada = session.get_one(Subscriber, desk.person(ADA).id)
        ada.locale = locale
        return ada.id


def test_signing_up_is_in_the_readers_language(spoken: Desk) -> None:
    empty = read(spoken.client.get("/s/mornings"))
    assert "⟦Please type your address as in ada@example.org.⟧" in read(spoken.send("nope"), 422)
    assert "⟦That was quick." in read(spoken.post({"email": ADA}), 422)
    assert "⟦What you agree to" in read(spoken.send(ADA, edition="x"), 422)
    wrong = spoken.json({"email": "nope"}).json()["errors"][0]["message"]
    assert wrong == "⟦Please type your address as in ada@example.org.⟧"
    assert "⟦Please look into" in read(spoken.send(ADA, edition=value_of("edition", empty)))
    assert spoken.evidence()[-1].wording.startswith("⟦I want to get ⟧")
    check_letter(spoken, "confirmation")
    path = spoken.confirm_path()
    assert "⟦Please confirm that you want to get ⟧" in read(spoken.client.get(path))
    assert "⟦You are subscribed.⟧" in read(spoken.client.post(path))
    assert spoken.evidence()[-1].wording.startswith("⟦Please confirm that you want to get ⟧")
    check_letter(spoken, "welcome")
    with spoken.runtime.sessions.writing() as session:
        to = session.get_one(SubscriberList, spoken.list_id)
        factories.subscribed(session, to, [CYD])
    assert spoken.json({"email": CYD}).json()["message"].startswith("⟦")
    check_letter(spoken, "known")
    spoken.send(BOB)
    late = ConfirmToken(spoken.person(BOB).id, spoken.list_id, 1).mint(spoken.runtime.keys)
    read(spoken.client.get(f"/confirm/{late}"), 410)
    with time_machine.travel(now() + timedelta(days=2), tick=False):
        read(spoken.client.post(f"/confirm/{late}/again"))
    shown = "⟦You are not subscribed yet. If you still want to get ⟧Mornings⟦ by e-mail, we send"
    assert spoken.evidence()[-1].wording.startswith(shown)
    read(spoken.client.get("/archive/field-notes"))
    assert "⟦This link leads nowhere." in read(spoken.client.get("/nowhere"), 404)
    unread = read(spoken.client.post("/s/mornings", content=b"x"), 415)
    assert "<title>⟦That did not work.⟧</title>" in unread


def test_what_a_script_says_comes_with_the_page(spoken: Desk) -> None:
    with spoken.runtime.sessions.reading() as session:
        form = public_form(session, "mornings")
    assert form
    asking = {"type": "http", "headers": [(b"accept-language", pseudo.LANGUAGE.encode())]}
    answers = PageAnswers(Request(asking), spoken.runtime.keys, form, Submission(ADA))
    page = bytes(answers.unproved(Judgement(Passage.PROOF, 60)).body).decode()
    assert "⟦Thank you for waiting." in page
    assert pseudo.untranslated(page) == []
    for script in PUBLIC.parent.glob("static/*.js"):
        assert not re.search(r"""["'`][A-Z][a-z]+ [a-z]+ [a-z]+""", script.read_text()), script.name


def test_leaving_and_preferences_are_in_the_readers_language(spoken: Desk) -> None:
    spoken.send(ADA)
    spoken.client.post(spoken.confirm_path())
    keys, person, newsletter = spoken.runtime.keys, spoken.person(ADA).id, spoken.newsletter_id
    leave = f"/u/{LeaveToken(Door.BODY, newsletter, person, 0, 0).mint(keys)}"
    read(spoken.client.get(leave))
    undo = to_undo(read(spoken.client.post(leave)))
    check_letter(spoken, "left")
    read(spoken.client.post(f"{leave}/reason", data={"reason": "other"}))
    read(spoken.client.get(undo))
    read(spoken.client.post(undo))
    read(spoken.client.post(undo))
    read(spoken.client.post(f"{leave}/pause"))
    link = f"/p/{PreferencesToken(newsletter, person).mint(keys)}"
    read(spoken.client.get(link))
    read(spoken.client.post(f"{link}/letter"))
    check_letter(spoken, "preferences")
    own = OwnerToken(newsletter, person, int((now() + timedelta(hours=1)).timestamp()))
    path = f"/p/{own.mint(keys)}"
    wrong = {"name": "x" * 300, "locale": "!", "time_zone": "x", "cadence": "pause", "until": "x"}
    assert "⟦choose the day when issues" in read(spoken.client.post(path, data=wrong), 422)
    granted = {"tracking": "granted", "cadence": "every", "shown": str(spoken.list_id)}
    read(spoken.client.post(path, data={**granted, "list": str(spoken.list_id)}))
    assert spoken.evidence()[-1].wording.startswith("⟦Yes, the editors may see")
    read(spoken.client.post(path, data={"name": "Ada", "locale": "de", "time_zone": "UTC"}))
    read(spoken.client.post(path, data={"shown": str(spoken.list_id)}))
    read(spoken.client.post(undo), 409)
    read(spoken.client.get(f"{path}/erase"))
    read(spoken.client.post(f"{path}/erase"))


def test_invitations_and_what_stands_around_an_issue_are_in_its_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pseudo.install(tmp_path, monkeypatch)
    identity, templates = replace(factories.identity(), postal_address=""), TemplateFolders.of()
    issue = compile_issue(parse(ISSUE, "x.md"), identity, templates).email
    pages = [issue.html, issue.text, issue.webpage]
    for is_new in (True, False):
        about = {"invitation_url": "https://x.example", "days": 7, "is_new": is_new}
        mail = compile_system_mail("invitation", identity, about, templates, pseudo.LANGUAGE)
        pages += [mail.html, mail.text]
    monkeypatch.undo()
    catalogues.forget()
    for page in pages:
        assert "⟦" in page
        assert pseudo.untranslated(page) == []


def test_an_answer_to_a_stranger_does_not_tell_the_language_of_whom_we_know(desk: Desk) -> None:
    desk.send(ADA)
    desk.client.post(desk.confirm_path())
    speaks(desk, "de-AT")
    known, unknown = desk.send(ADA), desk.send(BOB)
    assert known.text == unknown.text
    assert known.headers["Content-Language"] == unknown.headers["Content-Language"] == "en"
    assert "Please confirm" in str(desk.letter()["Subject"])
    assert known.headers["Cache-Control"] == "no-store"
    assert known.headers["Vary"] == "Accept-Language"


def test_a_signed_link_speaks_the_language_of_whom_it_was_mailed_to(desk: Desk) -> None:
    desk.send(ADA)
    person = speaks(desk, "de-AT")
    desk.client.headers["Accept-Language"] = "en"
    assert '<html lang="de" dir="ltr">' in desk.page(desk.confirm_path())
    desk.client.post(desk.confirm_path())
    assert "Bitte bestätigen Sie" in desk.evidence()[-1].wording
    token = PreferencesToken(desk.newsletter_id, person).mint(desk.runtime.keys)
    desk.client.post(f"/p/{token}/letter")
    assert str(desk.letter()["Subject"]) == "Ihre Einstellungen: Field Notes"
    speaks(desk, "en-GB")
    desk.client.headers["Accept-Language"] = "de"
    assert '<html lang="en"' in desk.page(f"/p/{token}")
    speaks(desk, "fr")
    assert '<html lang="de"' in desk.page(f"/p/{token}")


def test_a_confirmation_is_in_the_language_of_the_form(desk: Desk) -> None:
    desk.client.headers["Accept-Language"] = "de"
    assert "E-Mail-Adresse" in desk.page()
    desk.send(BOB)
    assert str(desk.letter()["Subject"]).startswith("Bitte bestätigen: ")
    assert "Sie werden dann nicht angemeldet" in desk.letter().get_body(["html"]).get_content()
