"""A form on another site, JSON for programs; and whatever else is thrown at the doors."""

import json
from collections.abc import Iterator

import html5lib
import pytest
from bs4 import BeautifulSoup, Tag
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.core.db import Sessions
from newsletter.core.tokens import TokenKeys
from newsletter.sending.confirmation import ask_to_confirm
from newsletter.web.public import sign_up
from newsletter.web.public.embedding import snippet
from newsletter.web.public.sign_up_form import public_form
from subscribers.models import SubscriberList
from tests import factories
from tests.sign_up import AT_EASE, OFFLINE, Desk, open_desk, value_of

ADA = "ada@example.org"
FIELDS = [
    {"key": "name", "label": "Your name", "required": False},
    {"key": "company", "label": 'Company "& Sons" <b>', "required": True},
]


def test_the_snippet_is_a_form_that_signs_up_from_any_site(desk: Desk) -> None:
    desk.change(fields=FIELDS, wording='I want "mail" & more.')
    with desk.runtime.sessions.reading() as session:
        form = public_form(session, "mornings")
    assert form
    text = snippet(form, "https://news.example.org")
    html5lib.HTMLParser(strict=True).parseFragment(text)
    soup = BeautifulSoup(text, "html.parser")
    (made,) = soup.select("form")
    assert (made["method"], made["action"]) == (
        "post",
        "https://news.example.org/s/mornings/embed",
    )
    assert "<script" not in text
    assert "style" not in text
    assert 'I want "mail" & more.' in soup.text
    inputs = {str(one["name"]): one for one in soup.select("input")}
    assert set(inputs) == {"email", "field_name", "field_company", "homepage", "edition"}
    edition = str(inputs.pop("edition")["value"])
    assert all(one.find_parent("label") for one in inputs.values())
    sent = {"email": ADA, "field_company": "Engines", "homepage": "", "edition": edition}
    answer = desk.client.post(
        "/s/mornings/embed", data=sent, headers={"Origin": "https://elsewhere.example"}
    )
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    (asked,) = desk.evidence()
    assert asked.form == "mornings: embed"
    assert asked.source == "http://127.0.0.1:8000/s/mornings/embed"


def test_who_was_shown_other_words_reads_the_present_ones_first(desk: Desk) -> None:
    with desk.runtime.sessions.reading() as session:
        form = public_form(session, "mornings")
    assert form
    desk.change(wording="I want even more.")
    shown = {"email": ADA, "edition": form.edition_in("en")}
    for answer in (desk.send(**shown), desk.post(shown, "/s/mornings/embed")):
        assert answer.status_code == 422
        assert "has been put in other words" in answer.text
        assert "I want even more." in answer.text
        assert value_of("email", answer.text) == ADA
    assert desk.evidence() == []
    edition = value_of("edition", answer.text)
    assert desk.send(ADA, edition=edition).status_code == 200
    assert desk.evidence()[0].wording == "I want even more."


def test_a_mistake_in_an_embedded_form_is_mended_on_our_page(desk: Desk) -> None:
    answer = desk.post({"email": "ada@"}, "/s/mornings/embed")
    assert answer.status_code == 422
    assert 'action="/s/mornings"' in answer.text
    assert 'name="stamp"' in answer.text


def test_a_program_signs_up_by_json(desk: Desk) -> None:
    desk.change(fields=FIELDS)
    answer = desk.json({"email": ADA, "fields": {"company": "Engines"}})
    assert (answer.status_code, answer.json()) == (
        202,
        {
            "status": "accepted",
            "message": "Please look into your mailbox: a mail there says what is left to do.",
        },
    )
    (asked,) = desk.evidence()
    assert (asked.form, asked.method) == ("mornings: api", "form")
    desk.client.post(desk.confirm_path())
    assert desk.person().attributes == {"company": "Engines"}


def test_a_program_says_which_words_it_showed(desk: Desk) -> None:
    with desk.runtime.sessions.reading() as session:
        form = public_form(session, "mornings")
    assert form
    for language, shown in (("de", "Ich möchte"), ("en", "I want")):
        email = f"{language}@example.org"
        answer = desk.json({"email": email, "edition": form.edition_in(language)})
        assert answer.status_code == 202
        assert desk.evidence()[-1].wording.startswith(shown)
    desk.change(wording="I want even more.")
    answer = desk.json({"email": ADA, "edition": form.edition_in("de")})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "edition")
    assert len(desk.evidence()) == 2


@pytest.mark.parametrize(
    ("body", "status", "field", "message"),
    [
        ("", 400, "body", "Invalid JSON"),
        ("[]", 400, "body", "object"),
        ("{}", 400, "email", "Field required"),
        ('{"email": 7}', 400, "email", "valid string"),
        ('{"email": "ada@example.org", "fields": {"company": 7}}', 400, "fields.company", "string"),
        ('{"email": "ada@example.org", "nme": ""}', 400, "nme", "not permitted"),
        ('{"email": "\\ud800@example.org"}', 400, "body", "JSON"),
        ('{"email": "ada"}', 422, "email", "type your address"),
        ('{"email": "ada@example.org"}', 422, "fields.company", "fill in"),
    ],
)
def test_json_that_is_wrong_is_told_where(
    desk: Desk, body: str, status: int, field: str, message: str
) -> None:
    desk.change(fields=FIELDS)
    answer = desk.client.post(
        "/s/mornings", content=body, headers={"Content-Type": "application/json; charset=utf-8"}
    )
    assert answer.status_code == status
    said = {error["field"]: error["message"] for error in answer.json()["errors"]}
    assert message in said[field]
    assert answer.headers["access-control-allow-origin"] == "*"


def test_a_script_of_another_site_may_ask_and_read(desk: Desk) -> None:
    asked = desk.client.options(
        "/s/mornings",
        headers={
            "Origin": "https://elsewhere.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        },
    )
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == "*"
    assert asked.headers["access-control-allow-headers"] == "content-type"
    assert desk.json({"email": ADA}).headers["access-control-allow-origin"] == "*"


def test_what_is_too_long_or_of_another_kind_is_refused(desk: Desk) -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"email": "'
        for _ in range(20):
            yield b"a" * 1_000

    json_kind = {"Content-Type": "application/json"}
    assert desk.client.post("/s/mornings", content="x" * 9_000).status_code == 413
    assert desk.client.post("/s/mornings", content=endless(), headers=json_kind).status_code == 413
    for kind in ("text/plain", "multipart/form-data; boundary=x", ""):
        answer = desk.client.post("/s/mornings", content="x", headers={"Content-Type": kind})
        assert answer.status_code == 415
        assert "<html lang=" in answer.text
    many = "&".join(f"f{n}=x" for n in range(100))
    form_kind = {"Content-Type": "application/x-www-form-urlencoded"}
    for path in ("/s/mornings", "/s/mornings/embed"):
        assert desk.client.post(path, content=many, headers=form_kind).status_code == 422
    assert desk.mails() == []


def test_no_page_has_a_script_a_cookie_or_a_style_of_its_own(desk: Desk) -> None:
    desk.send()
    for path in ("/s/mornings", desk.confirm_path(), "/s/none"):
        answer = desk.client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert "<script" not in answer.text
        assert " style=" not in answer.text
        assert "set-cookie" not in answer.headers


def test_every_field_of_the_page_can_be_used_by_ear_and_by_keyboard(desk: Desk) -> None:
    desk.change(fields=FIELDS)
    for page in (desk.page(), desk.send("ada@").text, desk.send().text):
        html5lib.HTMLParser(strict=True).parse(page)
        soup = BeautifulSoup(page, "html.parser")
        assert soup.html
        assert soup.html["lang"] == "en"
        assert len(soup.select("h1")) == len(soup.select("main")) == 1
        ids = [str(tag["id"]) for tag in soup.select("[id]")]
        assert len(ids) == len(set(ids))
        for one in soup.select("input:not([type=hidden])"):
            _is_labelled(soup, one, ids)
        for link in soup.select(".notice a"):
            assert str(link["href"]).removeprefix("#") in ids
        email = soup.select_one("#email")
        assert email
        assert (email["type"], email["autocomplete"]) == ("email", "email")
        assert soup.select_one("#field_name")["autocomplete"] == "name"


def _is_labelled(soup: BeautifulSoup, field: Tag, ids: list[str]) -> None:
    (label,) = soup.select(f'label[for="{field["id"]}"]')
    assert label.text.strip()
    if field.get("aria-invalid"):
        assert field["aria-describedby"] in ids
    if field["name"] == "homepage":
        assert field["tabindex"] == "-1"
        assert field.find_parent(attrs={"aria-hidden": "true"})


WORDS = st.text(max_size=60)
PARTS = st.dictionaries(
    st.sampled_from(["email", "fields", "altcha", "homepage", "stamp", "field_company", "x"])
    | WORDS,
    WORDS | st.integers() | st.none() | st.dictionaries(WORDS, WORDS, max_size=3),
    max_size=6,
)


@pytest.mark.parametrize("sessions", ["sqlite"], indirect=True)
def test_whatever_is_sent_is_answered(
    sessions: Sessions, keys: TokenKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_up, "ANSWER_SECONDS", 0)
    wide_open = AT_EASE.model_copy(update={"domain_hard": 1_000_000})
    with open_desk(sessions, keys, signup=wide_open) as desk:
        desk.change(fields=FIELDS)

        @settings(max_examples=300)
        @given(PARTS, st.sampled_from(["/s/mornings", "/s/mornings/embed"]), st.binary())
        def answered(parts: dict[str, object], path: str, raw: bytes) -> None:
            form_kind = {"Content-Type": "application/x-www-form-urlencoded"}
            answers = [
                desk.client.post(path, data={k: str(v) for k, v in parts.items()}),
                desk.client.post(path, content=raw, headers=form_kind),
                desk.client.post(
                    path, content=json.dumps(parts), headers={"Content-Type": "application/json"}
                ),
                desk.client.get(f"/s/{raw.hex()}"),
            ]
            assert {answer.status_code for answer in answers} <= {200, 202, 400, 404, 415, 422}

        answered()


def test_who_adds_by_command_counts_too(sessions: Sessions, keys: TokenKeys) -> None:
    """`subscribers add --confirm` and the form share the count of letters."""
    with open_desk(sessions, keys, signup=OFFLINE) as desk:
        with sessions.writing() as session:
            readers = session.get_one(SubscriberList, desk.list_id)
            person = factories.person(session, ADA)
            assert ask_to_confirm(session, desk.runtime, person, readers, factories.EVIDENCE)
        desk.json({"email": ADA})
        assert desk.mails() == [("confirmation", ADA)]
