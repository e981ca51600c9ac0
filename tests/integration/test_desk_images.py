"""Pictures at the desk: uploaded with what they show, served for ever, as pictures only."""

import io
import re

import pytest
from bs4 import BeautifulSoup
from PIL import Image as Picture

from newsletter.issues import images
from newsletter.issues.models import Image, Issue
from tests import factories
from tests.desk import Seat, text_of


@pytest.fixture
def path(seat: Seat) -> str:
    with seat.sessions.writing() as session:
        return f"/issues/{factories.stored_issue(session).id}/images"


def a_file(data: bytes | None = None, name: str = "a.png") -> dict[str, tuple[str, bytes]]:
    if data is None:
        file = io.BytesIO()
        Picture.new("RGB", (300, 200), (1, 2, 3)).save(file, "PNG")
        data = file.getvalue()
    return {"image": (name, data)}


def test_a_picture_is_uploaded_inserted_and_served(seat: Seat, path: str) -> None:
    answer = seat.post(path, {"alt": 'A "square" [dark]'}, files=a_file())
    assert answer.status_code == 200
    assert "The picture is here" in text_of(answer.text)
    (where,) = re.findall(r'<img src="(/i/[^"]+)"', answer.text)
    served = seat.get(where)
    assert (served.status_code, served.headers["content-type"]) == (200, "image/png")
    assert served.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert served.headers["x-content-type-options"] == "nosniff"
    with seat.sessions.reading() as session:
        (image,) = images.latest(session, seat.newsletter_id)
        issue = session.get_one(Issue, 1)
    shown = images.markdown(image, "https://news.example.org")
    compiled = factories.compiled(issue.source + f"\n{shown}\n")
    assert "image-without-alt" not in {finding.code for finding in compiled.findings}
    (tag,) = BeautifulSoup(compiled.email.html, "html.parser").select("img")
    assert (tag["src"], tag["width"]) == (f"https://news.example.org{where}", "300")
    assert tag["alt"] == 'A "square" [dark]'
    assert '[A "square" [dark]]' in compiled.email.text


def test_decoration_is_declared(seat: Seat, path: str) -> None:
    seat.post(path, {"decorative": "1", "alt": ""}, files=a_file())
    with seat.sessions.reading() as session:
        (image,) = images.latest(session, seat.newsletter_id)
    assert image.alt == ""
    compiled = factories.compiled(
        f"{factories.MARKDOWN}\n{images.markdown(image, 'https://news.example.org')}\n"
    )
    assert "image-without-alt" not in {finding.code for finding in compiled.findings}
    assert re.search(r'<img[^>]* alt=""', compiled.email.html)


@pytest.mark.parametrize(
    ("fields", "files", "said"),
    [
        ({"alt": ""}, a_file(), "what the picture shows"),
        ({"alt": "x"}, None, "Choose a picture"),
        ({"alt": "x"}, a_file(b"<svg onload=alert(1)>", "x.svg"), "as JPEG, PNG, GIF or WebP"),
        ({"alt": "x"}, a_file(b"GIF89a", "x.png"), "cannot be read as one"),
    ],
)
def test_what_is_no_picture_or_says_nothing_is_asked_for_again(
    seat: Seat, path: str, fields: dict[str, str], files: dict[str, tuple[str, bytes]], said: str
) -> None:
    answer = seat.post(path, fields, files=files)
    assert answer.status_code == 422
    assert said in text_of(answer.text)
    with seat.sessions.reading() as session:
        assert not images.latest(session, seat.newsletter_id)


def test_more_than_a_picture_is_not_taken(seat: Seat, path: str) -> None:
    huge = a_file(b"x" * (images.MAX_UPLOAD_BYTES + 200_000))
    assert seat.post(path, {"alt": "x"}, files=huge).status_code == 413


def test_only_the_exact_name_is_served(seat: Seat, path: str) -> None:
    seat.post(path, {"alt": "x"}, files=a_file())
    with seat.sessions.reading() as session:
        where = images.path(images.latest(session, seat.newsletter_id)[0])
    guesses = [
        re.sub(r"-[0-9a-f]{4}", "-0000", where),
        where.replace(".png", ".jpg"),
        where.replace(".png", ""),
        where.replace("/i/1", "/i/01"),
        "/i/1",
        "/i/9999999999-x.png",
        "/i/²-x.png",
    ]
    assert [seat.get(guess).status_code for guess in guesses] == [404] * len(guesses)


def test_the_same_picture_is_kept_once(seat: Seat, path: str) -> None:
    for alt in ("First", "Second"):
        seat.post(path, {"alt": alt}, files=a_file())
    with seat.sessions.reading() as session:
        (image,) = session.query(Image).all()
    assert image.alt == "Second"
