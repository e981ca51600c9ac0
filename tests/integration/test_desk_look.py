"""The look of a newsletter at the desk: tried, warned about, mended, kept; what comes of it."""

import re
from collections.abc import Callable
from io import BytesIO

import pytest
from PIL import Image

from newsletter.accounts.permissions import Role
from newsletter.broadcasts import planning
from newsletter.issues.models import Newsletter
from newsletter.rendering.palette import CHOSEN, LIGHT, SCHEMES
from tests import factories
from tests.desk import Seat, text_of

STANDARD = {
    f"{scheme}.{name}": getattr(tones, name) for scheme, tones in SCHEMES.items() for name in CHOSEN
}
OWN = STANDARD | {"template": "letter", "light.accent": "#00695c", "dark.accent": "#80cbc4"}


def path_of(seat: Seat) -> str:
    return f"/settings/newsletters/{seat.newsletter_id}/look"


def kept(seat: Seat) -> tuple[str, dict[str, dict[str, str]]]:
    with seat.sessions.reading() as session:
        found = session.get_one(Newsletter, seat.newsletter_id)
        return found.template, found.palette


def test_colours_are_kept_as_far_as_they_are_its_own(seat: Seat) -> None:
    assert "Saved." in seat.done(path_of(seat), OWN)
    own = {"light": {"accent": "#00695c"}, "dark": {"accent": "#80cbc4"}}
    assert kept(seat) == ("letter", own)
    assert 'value="#00695c"' in seat.page(path_of(seat))
    seat.done(path_of(seat), OWN | {"default": "1"})
    assert kept(seat) == ("letter", {})


def test_a_draft_is_seen_before_it_is_saved(seat: Seat) -> None:
    asked = "&".join(f"{k}={v.replace('#', '%23')}" for k, v in OWN.items())
    page = seat.page(f"{path_of(seat)}/frames?{asked}")
    assert "<html" not in page
    assert "light.accent=%2300695c" in page
    light = seat.get(f"{path_of(seat)}/mail?scheme=light&{asked}")
    dark = seat.get(f"{path_of(seat)}/mail?scheme=dark&{asked}")
    assert "sandbox" in light.headers["content-security-policy"]
    assert "#00695c" in light.text
    assert "@media not all" in light.text
    assert "@media all" in dark.text
    assert "#80cbc4" in dark.text
    assert kept(seat) == ("digest", {})
    assert LIGHT.accent in seat.page(f"{path_of(seat)}/mail"), "without a draft: as it is"


def test_the_latest_issue_is_shown_and_the_sample_before_there_is_one(seat: Seat) -> None:
    assert "an hour" in seat.page(f"{path_of(seat)}/mail")
    with seat.sessions.writing() as session:
        factories.stored_issue(session)
    mail = seat.page(f"{path_of(seat)}/mail")
    assert "First summary" in mail
    assert "reader@example.org" in mail


def test_what_is_hard_to_read_is_said_and_mended(seat: Seat) -> None:
    weak = OWN | {"light.accent": "#ffcc00"}
    said = seat.done(path_of(seat), weak)
    assert "hard to read" in said
    assert "Links and buttons, light" in said
    assert "hard to read" not in seat.done(path_of(seat), weak | {"mend": "1"})
    mended = kept(seat)[1]["light"]["accent"]
    assert mended not in {"#ffcc00", LIGHT.accent}


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("light.accent", "red"),
        ("dark.page", "#000;}*{x:url(//e)"),
        ("template", "layout"),
        ("template", "../../etc/passwd"),
        ("template", "system/letter"),
    ],
)
def test_what_is_no_colour_and_no_template_is_refused(seat: Seat, field: str, typed: str) -> None:
    answer = seat.post(path_of(seat), OWN | {field: typed})
    assert answer.status_code == 422
    assert kept(seat) == ("digest", {})
    asked = seat.get(f"{path_of(seat)}/mail", params=OWN | {field: typed})
    assert asked.status_code == 422


def test_only_whoever_may_set_things_comes_near(seat: Seat, seats: Callable[..., Seat]) -> None:
    sender = seats(Role.SENDER, newsletter_id=seat.newsletter_id)
    assert sender.get(path_of(seat)).status_code == 403
    assert sender.get(f"{path_of(seat)}/mail").status_code == 403
    assert sender.post(path_of(seat), OWN).status_code == 403


def test_the_next_plan_is_compiled_in_the_look(seat: Seat) -> None:
    seat.done(path_of(seat), OWN)
    with seat.sessions.writing() as session:
        issue = factories.stored_issue(session)
        plan = planning.prepare(issue, factories.settings(), today=factories.DAY)
    assert "#00695c" in plan.email.html
    assert LIGHT.accent not in plan.email.html
    assert [finding.code for finding in plan.compilation.findings] == ["base-url-local"]
    sheet = "/archive/field-notes/colours.css"
    assert f'href="{sheet}"' in plan.email.webpage
    assert "--accent: #00695c;" in seat.page(sheet)
    assert seat.get("/archive/nothing/colours.css").status_code == 404


def test_what_is_hard_to_read_is_found_before_it_is_sent(seat: Seat) -> None:
    seat.done(path_of(seat), OWN | {"dark.text": "#333333"})
    with seat.sessions.writing() as session:
        issue = factories.stored_issue(session)
        plan = planning.prepare(issue, factories.settings(), today=factories.DAY)
    (weak,) = [f for f in plan.compilation.findings if f.code == "contrast-low"]
    assert "dark colour for text" in weak.text


def test_a_template_that_is_gone_is_not_shown_and_another_can_be_chosen(seat: Seat) -> None:
    with seat.sessions.writing() as session:
        session.get_one(Newsletter, seat.newsletter_id).template = "withdrawn"
    assert 'value="digest" checked' in seat.page(path_of(seat))
    assert "Field Notes" in seat.page(f"{path_of(seat)}/mail")


def a_picture(width: int = 480, height: int = 96) -> bytes:
    file = BytesIO()
    Image.new("RGB", (width, height), "#a8431a").save(file, "PNG")
    return file.getvalue()


def test_a_sign_stands_above_the_name_until_it_is_taken_away(seat: Seat) -> None:
    logo = {"logo": ("../sign.png", a_picture(), "image/png")}
    assert "Saved." in seat.done(f"{path_of(seat)}/logo", files=logo)
    mail = seat.page(f"{path_of(seat)}/mail")
    (tag,) = re.findall(r'<img[^>]+alt="Field Notes"[^>]+>', mail)
    assert 'width="240"' in tag, "half as wide as the file, and sharp on a dense screen"
    shown = re.findall(r'class="sign" src="([^"]+)"', seat.page(path_of(seat)))[0]
    assert f'src="{shown}"' in tag
    assert seat.get(shown).headers["content-type"] == "image/png"
    with seat.sessions.writing() as session:
        issue = factories.stored_issue(session)
        plan = planning.prepare(issue, factories.settings(), today=factories.DAY)
    assert f'src="http://127.0.0.1:8000{shown}"' in plan.email.html
    assert shown in plan.email.webpage
    assert [finding.code for finding in plan.compilation.findings] == ["base-url-local"]
    seat.done(path_of(seat), OWN)
    assert "sign" in seat.page(path_of(seat)), "other colours leave it there"
    seat.done(f"{path_of(seat)}/logo", {"remove": "1"})
    assert "<img" not in seat.page(f"{path_of(seat)}/mail")


@pytest.mark.parametrize("file", [b"<svg onload=alert(1)>", b"", b"\x89PNG broken"])
def test_what_is_no_picture_is_no_sign(seat: Seat, file: bytes) -> None:
    answer = seat.post(f"{path_of(seat)}/logo", files={"logo": ("x.png", file, "image/png")})
    assert answer.status_code == 422
    assert "cannot be read as one" in text_of(answer.text)
    assert "Saved" not in seat.done(f"{path_of(seat)}/logo"), "no file, nothing to do"
