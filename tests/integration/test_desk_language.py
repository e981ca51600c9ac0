"""The desk in a language that is not English: nothing of ours is left untranslated."""

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response

from newsletter.web.desk import text
from subscribers import lists
from tests import pseudo
from tests.desk import Seat, form_token, stranger

FILE = "email,opened\nada@example.org,1\nnope,2\n"
BLOCKLIST = "address,reason\nnope,manual\nada@example.org,erased\n"


@pytest.fixture
def spoken(seat: Seat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Seat]:
    """A seat whose browser asks for the language of `tests.pseudo`."""
    pseudo.install(tmp_path / "locale", monkeypatch)
    seat.client.headers["Accept-Language"] = f"{pseudo.LANGUAGE}-CH,en;q=0.5"
    yield seat
    monkeypatch.undo()
    text.forget()


def read(answer: Response) -> str:
    """The page, once it is seen that nothing in it is English."""
    assert pseudo.untranslated(answer.text) == [], answer.url
    return re.sub(r"\s+", " ", answer.text.replace("&#39;", "'").replace("&#34;", '"'))


def refused(seat: Seat, path: str, fields: dict[str, Any], **options: Any) -> str:
    answer = seat.post(path, fields, **options)
    assert answer.status_code in (404, 409, 422), path
    return read(answer)


def csv(content: str) -> dict[str, Any]:
    return {"file": ("people.csv", BytesIO(content.encode()))}


def test_mistakes_are_told_in_the_readers_language(spoken: Seat) -> None:
    with spoken.sessions.writing() as session:
        readers = lists.create_list(session, "Readers", spoken.newsletter_id).id
    identity = f"/settings/newsletters/{spoken.newsletter_id}"
    for path, fields, options, said in [
        ("/lists/new", {"name": ""}, {}, "⟦expected one line of at most ⟧200⟦ characters⟧"),
        (identity, {"hold_minutes": "x"}, {}, "⟦expected a number of minutes⟧"),
        ("/settings/relays/gone/test", {}, {}, "⟦there is no ⟧⟦relay⟧⟦ ⟧'gone'"),
        ("/suppressions", {"address": "nope", "scope": str(readers)}, {}, "⟦expected an address"),
        (
            "/issues/new",
            {"date": "2026-06-17", "text": "---\nx: 1\n---\n"},
            {},
            "⟦unknown key ⟧'x'",
        ),
        ("/imports", {"list": str(readers)}, {"files": csv("\0")}, "⟦a NUL byte"),
        (
            "/settings/users/invite",
            {"email": "nope"},
            {},
            "⟦An email address must have an @-sign.⟧",
        ),
    ]:
        assert said in refused(spoken, path, fields, **options), path
    assert "⟦" in read(spoken.get("/settings/nothing"))
    with stranger(spoken.runtime) as client:
        client.headers["Accept-Language"] = pseudo.LANGUAGE
        fields = {
            "form_token": form_token(client.get("/login").text),
            "email": "who@example.org",
            "password": "wrong wrong wrong",
        }
        answer = client.post("/login", data=fields, headers={"Origin": "http://127.0.0.1:8000"})
        assert "⟦address and password do not go together⟧" in read(answer)
