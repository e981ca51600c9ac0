"""Pictures at the desk: uploaded with what they show, served for ever, as pictures only."""

import io
import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from PIL import Image as Picture

from newsletter.broadcasts import picture_use
from newsletter.core.db import Sessions
from newsletter.core.errors import RefusedError
from newsletter.issues import images
from newsletter.issues.models import Image, Issue, Newsletter
from newsletter.issues.newsletters import add_newsletter
from newsletter.rendering.templates import TemplateFolders
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


def test_what_a_picture_shows_is_said_anew(seat: Seat, path: str) -> None:
    seat.post(path, {"alt": "A dog"}, files=a_file())
    assert f'href="{path}/1"' in seat.page("/issues/1")
    assert 'value="A dog"' in seat.page(f"{path}/1")
    assert seat.post(f"{path}/1", {"alt": " "}).status_code == 422
    assert "A cat, asleep" in seat.done(f"{path}/1", {"alt": "A cat,\nasleep"})
    assert "Decoration" in seat.done(f"{path}/1", {"alt": "A cat", "decorative": "1"})


def test_only_a_picture_that_nobody_would_miss_is_deleted(
    seat: Seat, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for shade in range(4):
        file = io.BytesIO()
        Picture.new("RGB", (30, 20), (shade, 2, 3)).save(file, "PNG")
        seat.post(path, {"alt": "x"}, files=a_file(file.getvalue()))
    with seat.sessions.writing() as session:
        sent, sign, elsewhere, free = session.query(Image).order_by(Image.id)
        issue = session.get_one(Issue, 1)
        issue.source += f"\n{images.markdown(sent, factories.settings().site.public_url)}\n"
        other = add_newsletter(session, Newsletter(slug="other", name="Other")).id
        stolen = images.add(
            session,
            other,
            images.Made(b"x", "image/png", 1, 1),
            alt="",
            name="",
            uploaded_by=None,
        ).id
        text = factories.MARKDOWN.replace("newsletter: field-notes", "newsletter: other")
        secret = f"{text}\n{images.path(elsewhere)}".replace("Measured twice", "A secret")
        factories.stored_issue(session, secret)
        where = images.path(free)
        to = factories.a_list(session, issue=issue)
        factories.scheduled(session, issue, [to])
        logo = {"path": images.path(sign), "width": 1, "height": 1, "alt": ""}
        issue.newsletter.logo = logo
    told = {}
    for number in (1, 2, 3):
        answer = seat.post(f"{path}/{number}/delete")
        assert answer.status_code == 409
        told[number] = text_of(answer.text)
        assert "for good" not in told[number]
    assert "Measured twice" in told[1]
    assert "Scheduled" in told[1]
    assert "the sign above" in told[2]
    assert "another newsletter" in told[3]
    assert "A secret" not in told[3]
    assert seat.get(f"{path}/{stolen}").status_code == 404
    assert seat.post(f"{path}/{stolen}/delete").status_code == 404
    assert seat.get(where).status_code == 200
    (tmp_path / "footer.mjml").write_text(f'<mj-image src="https://n.example{where}" />')
    with monkeypatch.context() as own_templates:
        own_templates.setitem(vars(seat.runtime.settings.templates), "dir", tmp_path)
        answer = seat.post(f"{path}/4/delete")
    assert answer.status_code == 409
    assert "A template of the mail shows it: footer.mjml." in text_of(answer.text)
    assert "deleted" in seat.done(f"{path}/4/delete")
    assert seat.get(where).status_code == 404
    missed = seat.post(
        "/issues/1/check",
        {"text": f"{factories.MARKDOWN}\n![x]({factories.settings().site.public_url}{where})"},
    )
    assert "it was deleted" in missed.text


def test_a_mail_that_is_out_keeps_a_sign_that_no_text_names(sessions: Sessions) -> None:
    """Frozen content is searched as text, which each database keeps in its own way."""
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        made = images.Made(b"x", "image/png", 1, 1)
        image = images.add(session, issue.newsletter_id, made, alt="", name="", uploaded_by=None)
        issue.newsletter.logo = {"path": images.path(image), "width": 1, "height": 1, "alt": ""}
        factories.scheduled(session, issue, [factories.a_list(session, issue=issue)])
        issue.newsletter.logo = {}
        session.flush()
        with pytest.raises(RefusedError, match="an issue shows"):
            picture_use.delete(session, image, TemplateFolders.of())
