"""Pictures of mails from elsewhere: a frame asks us for them, and we know which ones we named."""

import asyncio
import re
import socket
from collections.abc import Iterator
from html import unescape
from typing import cast
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from fastapi import FastAPI
from starlette.types import Message

from newsletter.core.fetch import Fetcher
from newsletter.issues.models import Issue
from newsletter.web import outside_pictures
from newsletter.web.outside_pictures import OutsidePicture, OutsidePictures
from tests import factories
from tests.desk import Seat, stranger, text_of
from tests.servers.odd_web import server, to_loopback

GIF = b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"
BODIES = {
    b"/good.gif": ("text/html", GIF),
    b"/drawn.svg": ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg' onload='x()'/>"),
    b"/large.gif": ("image/gif", GIF + b"x" * 200_000),
}


def answer(connection: socket.socket, request: bytes) -> None:
    kind, body = BODIES[request.split()[1]]
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)


def allow(seat: Seat, port: int) -> None:
    """As in use, but for what may be connected to."""
    app = seat.client.app
    fetcher = to_loopback(port)
    app.state.outside_pictures = OutsidePictures(  # type: ignore[attr-defined]
        seat.runtime.settings.site.public_url, seat.runtime.keys, fetcher
    )


def pictures_in(page: str) -> list[str]:
    return [unescape(found) for found in re.findall(r'<img[^>]* src="([^"]*)"', page)]


def test_a_preview_loads_pictures_from_us_alone(
    seat: Seat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside_pictures, "MAX_BYTES", 100_000)
    with seat.sessions.writing() as session:
        issue_id = factories.stored_issue(session).id
    base = seat.runtime.settings.site.public_url
    with server(answer) as (port, asked):
        allow(seat, port)
        there = f"http://pictures.example:{port}"
        names = ["good.gif", "drawn.svg", "large.gif"]
        lines = [f"![x]({there}/{name})\n" for name in names]
        text = factories.MARKDOWN + "\n".join(["", *lines, f"![x]({base}/i/1-ab.png)"])
        shapes = {
            shape: seat.post(f"/issues/{issue_id}/preview", {"text": text, "shape": shape})
            for shape in ("html", "web")
        }
        for shown in shapes.values():
            policy = shown.headers["content-security-policy"]
            assert "img-src 'self';" in policy
            assert "http" not in policy
            assert there not in re.sub(r'href="[^"]*"', "", shown.text)
        *outside, own = pictures_in(shapes["html"].text)
        assert own == "/i/1-ab.png"
        assert pictures_in(shapes["web"].text) == [*outside, own]
        assert asked == [], "nothing is fetched before a browser asks"

        answers = [seat.client.get(path, headers={"Referer": base}) for path in outside * 2]
        assert len(asked) == len(names), "each once, however often it is looked at"
        for request in asked:
            said = request.lower()
            assert not any(word in said for word in (b"cookie", b"referer", b"testclient"))
    good, drawn, large = answers[:3]
    assert (good.content, good.headers["content-type"]) == (GIF, "image/gif")
    for stand_in in (drawn, large):
        assert stand_in.headers["content-type"] == "image/svg+xml"
        assert b"onload" not in stand_in.content
    for each in answers:
        assert each.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in each.headers["content-security-policy"]
        assert "sandbox" in each.headers["content-security-policy"]

    found = seat.post(f"/issues/{issue_id}/check", {"text": text}).text
    told = re.findall(r'data-lines="(\d+)" data-text="a picture is not shown[^"]*', found)
    assert told == [str(text[: text.index(name)].count("\n") + 1) for name in names[1:]]
    assert "no JPEG, PNG, GIF or WebP" in text_of(found)
    assert "more than 100,000 bytes" in text_of(found)


def test_only_addresses_that_we_signed_lately_are_fetched(seat: Seat) -> None:
    with seat.sessions.writing() as session:
        text = factories.MARKDOWN + "\n![x](http://127.0.0.1/a.png)\n"
        issue = factories.stored_issue(session)
        issue_id = session.get_one(Issue, issue.id).id
    (path,) = pictures_in(
        seat.post(f"/issues/{issue_id}/preview", {"text": text, "shape": "html"}).text
    )
    token = urlsplit(path).path.rpartition("/")[2]
    (url,) = parse_qs(urlsplit(path).query)["of"]
    wrong = [
        f"/pictures/{token}",
        f"/pictures/{token}?of={url}x",
        f"/pictures/{token[:-1]}?of={url}",
        f"/pictures/x?of={url}",
        f"/pictures/{seat.form_token()}?of={url}",
    ]
    with stranger(seat.runtime) as nobody:
        assert [nobody.get(each).status_code for each in wrong] == [404] * len(wrong)
        refused = nobody.get(path)
        assert (refused.status_code, refused.headers["content-type"]) == (200, "image/svg+xml")
        with time_machine.travel("2200-01-01T00:00:00+00:00"):
            assert nobody.get(path).status_code == 404


def test_what_a_browser_asked_for_is_let_go_when_it_has_left(seat: Seat) -> None:
    let_go: list[str] = []

    class Slow(OutsidePictures):
        async def picture(self, url: str) -> OutsidePicture:
            try:
                await asyncio.Event().wait()
            finally:
                let_go.append(url)
            return await super().picture(url)

    app = cast(FastAPI, seat.client.app)
    slow = Slow(seat.runtime.settings.site.public_url, seat.runtime.keys, Fetcher())
    app.state.outside_pictures = slow
    path, _, query = slow.address("https://example.org/a.gif").partition("?")
    said: Iterator[Message] = iter(
        [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]
    )
    answered: list[Message] = []

    async def receive() -> Message:
        return next(said)

    async def send(message: Message) -> None:
        answered.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode()}
    scope |= {"headers": [], "server": ("n.example", 443), "scheme": "https"}
    asyncio.run(asyncio.wait_for(app(scope, receive, send), 30))
    assert let_go == ["https://example.org/a.gif"]
    assert (b"cache-control", b"no-store") in answered[0]["headers"]
