"""The desk in a language that is not English: nothing that we say is left untranslated."""

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response

from newsletter.broadcasts import control
from newsletter.broadcasts.models import Broadcast, BroadcastState, PauseReason
from newsletter.core import catalogues
from newsletter.core.sentences import say
from newsletter.jobs import imports
from tests import factories, pseudo
from tests.desk import ORIGIN, form_token, stranger
from tests.ready_to_send import Ready

MISTAKES: list[tuple[str, dict[str, Any], str]] = [
    ("/account", {"name": "x" * 300, "time_zone": "UTC"}, "⟦expected at most ⟧200⟦ characters⟧"),
    ("/segments/new", {"text": "x" * 5000, "list": "{list}"}, "⟦at most ⟧4.000⟦ characters⟧"),
    ("/settings/newsletters/1", {"hold_minutes": "x"}, "⟦expected a number of minutes⟧"),
    (
        "/settings/relays/gone/test",
        {},
        "⟦there is no ⟧⟦relay⟧⟦ ⟧'gone'; ⟦in the settings there are",
    ),
    ("/settings/users/invite", {"email": "nope"}, "⟦An email address must have an @-sign.⟧"),
    ("/suppressions", {"address": "@", "scope": "1"}, "⟦' is not a domain, such as @example.org⟧"),
    ("/suppressions/import", {"file": "a@b.org,erased", "scope": "1"}, "⟦only a hash can say"),
    ("/imports", {"file": "ada\0", "list": "{list}"}, "⟦a NUL byte: this is not a text file⟧"),
    (
        "/issues/new",
        {"date": "2026-06-17", "text": "---\nx: 1\n---\n"},
        "⟦unknown key ⟧'x'⟦; expected ⟧",
    ),
    ("/segments/new", {"text": "plan = 1", "list": "{list}"}, "⟦Expected ⟧⟦a field (⟧"),
    ("/subscribers/1/details", {"attributes": "{"}, "⟦expecting property name enclosed in"),
    ("/broadcasts/{paused}/undo", {}, "⟦broadcast ⟧1⟦ is ⟧⟦paused⟧⟦: it has begun and cannot be"),
]

WRONG = "---\ndate: 2026-06-17\n---\n## A\n### T\n[x](javascript:y) {{ z }}\n"


@pytest.fixture
def spoken(ready: Ready, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ready]:
    """A browser that asks for the language of `tests.pseudo`."""
    pseudo.install(tmp_path / "locale", monkeypatch)
    ready.seat.client.headers["Accept-Language"] = f"{pseudo.LANGUAGE}-CH,en;q=0.5"
    yield ready
    monkeypatch.undo()
    catalogues.forget()


def read(answer: Response) -> str:
    """The page, once it is seen that nothing in it is English."""
    page = answer.text.replace(factories.EVIDENCE.wording, "")
    assert pseudo.untranslated(page) == [], answer.url
    plain = page.replace("&#39;", "'").replace("&#34;", '"')
    return re.sub(r"\s+", " ", plain)


def paused(ready: Ready) -> int:
    """A broadcast that the machine has paused."""
    broadcast_id = ready.ask()
    refusal = say("refuses STARTTLS")
    with ready.seat.sessions.writing() as session:
        session.get_one(Broadcast, broadcast_id).state = BroadcastState.SENDING
        control.halt(session, broadcast_id, PauseReason.BREAKER, refusal)
    return broadcast_id


def sent(ready: Ready, path: str, fields: dict[str, Any]) -> Response:
    """Posted; with a person's details the edition that their page shows."""
    if path.endswith("/details"):
        page = ready.seat.page(path.removesuffix("/details"))
        edition = page.partition('name="edition" value="')[2].partition('"')[0]
        fields = {"name": "", "locale": "", "time_zone": "", "edition": edition} | fields
    content = f"email,reason\n{fields.get('file', '')}\n".encode()
    files = {"file": ("a.csv", BytesIO(content))} if "import" in path else None
    return ready.seat.post(path, fields, files=files)


def test_mistakes_are_told_in_the_readers_language(spoken: Ready) -> None:
    numbers = {"list": str(spoken.list_id), "paused": paused(spoken)}
    for path, fields, said in MISTAKES:
        known = {name: numbers.get(value.strip("{}"), value) for name, value in fields.items()}
        page = read(sent(spoken, path.format(**numbers), known))
        assert said in page, path
    with stranger(spoken.seat.runtime) as client:
        client.headers["Accept-Language"] = pseudo.LANGUAGE
        fields = {"form_token": form_token(client.get("/login").text)}
        fields |= {"email": "who@example.org", "password": "wrong wrong wrong"}
        answer = client.post("/login", data=fields, headers={"Origin": ORIGIN})
        assert "⟦address and password do not go together⟧" in read(answer)


def test_what_is_found_and_recorded_is_told_in_the_readers_language(spoken: Ready) -> None:
    seat = spoken.seat
    found = read(seat.post(f"/issues/{spoken.issue_id}/check", {"text": WRONG}))
    for said in (
        "⟦no preheader: mail programs show the first words of the mail instead⟧",
        "⟦expected a link that begins with https://, http:// or mailto:⟧⟦: ⟧javascript:y",
        "⟦there is no field ⟧'z'⟦; there are ⟧subscriber.name",
        "⟦the links lead to ⟧http://127.0.0.1:8000⟦, to this machine only⟧⟦: set",
    ):
        assert said in found
    assert "⟦refuses STARTTLS⟧" in read(seat.get(f"/broadcasts/{paused(spoken)}"))
    assert "⟧: ⟦refuses STARTTLS⟧" in read(seat.get("/"))
    files = {"file": ("people.csv", BytesIO(b"email\nnope\n"))}
    path = seat.post("/imports", {"list": spoken.list_id}, files=files).headers["location"]
    imports.work(seat.runtime)
    assert "'nope'⟦ is not an e-mail address: ⟧⟦An email address" in read(seat.get(path))
    files = {"file": ("people.csv", BytesIO(b"email,opt_out\nada@example.org,1\n"))}
    path = seat.post("/imports", {"list": spoken.list_id}, files=files).headers["location"]
    imports.work(seat.runtime)
    page = read(seat.get(f"{path}/columns"))
    assert "opt_out⟦” may say who left: make it a column “status” ⟧⟦of pending" in page
    assert "--map" not in page
    assert "⟦This page is not there." in read(seat.get("/settings/nothing"))
