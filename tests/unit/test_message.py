"""One recipient's message: spliced bytes against the standard library's own build."""

from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.core.tokens import TokenKeys
from newsletter.mail.headers import HeaderError
from newsletter.rendering.compiled import CompiledEmail, Link, MergeField, WireForm
from newsletter.rendering.mail_tokens import Door, LeaveToken, PreferencesToken, TrackingToken
from newsletter.rendering.message import LeftoverError, personalise, prepare
from subscribers.recipient import Recipient
from tests import factories

KEYS = TokenKeys.from_secrets("a secret")
N = "n0123456789abcdefabcd"
EMAIL = CompiledEmail(
    subject=f"Für {N}-field1-: gemessen",
    preheader="",
    lang="en",
    html=f'<p>Hi {N}-field1-, <a href="{N}-link1-">go</a> {N}-email-\n'
    f'<a href="{N}-unsubscribe-">leave</a>{N}-pixel-</body>',
    text=f"Hi {N}-field1-\n{N}-link1-\n{N}-unsubscribe-\n{N}-email-\n",
    webpage="",
    nonce=N,
    links=(Link(1, "https://example.org/?a=1&b=2", "go"),),
    fields=(MergeField("subscriber.name", "reader"),),
)


def message(form: WireForm, person: Recipient, email: CompiledEmail = EMAIL) -> bytes:
    return personalise(prepare(factories.frozen(email), form), person, 42, KEYS)


def read(wire: bytes) -> EmailMessage:
    parsed = message_from_bytes(wire, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    assert not parsed.defects
    return parsed


def naive(form: WireForm, person: Recipient) -> EmailMessage:
    """The same message as a beginner would build it."""
    base = "https://news.example.org"
    name = " ".join(person.name.split()) or "reader"
    shown = person.name.strip() or "reader"
    token = TrackingToken(7, 42 if form is WireForm.INDIVIDUAL else None).mint(KEYS)
    leave = f"{base}/u/" + LeaveToken(Door.BODY, 1, person.subscriber_id, 7, 42).mint(KEYS)
    link = EMAIL.links[0].url if form is WireForm.NONE else f"{base}/c/{token}/1"
    pixel = (
        ""
        if form is WireForm.NONE
        else f'<img src="{base}/o/{token}.gif" width="1" height="1" alt="" '
        'style="display:block;border:0">'
    )
    built = EmailMessage(policy=policy.SMTP)
    built["Subject"] = f"Für {name}: gemessen"
    built.set_content(f"Hi {shown}\n{link}\n{leave}\n{person.address}\n")
    built.add_alternative(
        f'<p>Hi {escape(shown)}, <a href="{escape(link)}">go</a> {escape(person.address)}\n'
        f'<a href="{leave}">leave</a>{pixel}</body>\n',
        subtype="html",
    )
    return built


def lines(part: object) -> list[str]:
    assert isinstance(part, EmailMessage)
    return str(part.get_content()).splitlines()


_names = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=60)


@settings(max_examples=60)
@given(_names, st.sampled_from(list(WireForm)))
def test_a_spliced_message_reads_as_a_built_one(name: str, form: WireForm) -> None:
    person = factories.recipient(name=name)
    spliced, built = read(message(form, person)), naive(form, person)
    assert str(spliced["Subject"]).split() == str(built["Subject"]).split()
    assert lines(spliced.get_body(["plain"])) == lines(built.get_body(["plain"]))
    assert lines(spliced.get_body(["html"])) == lines(built.get_body(["html"]))


@settings(max_examples=60)
@given(st.text(max_size=80))
def test_no_name_adds_a_header_or_a_recipient(name: str) -> None:
    person = factories.recipient(name=name)
    expected = read(message(WireForm.NONE, factories.recipient(name="Ada"))).keys()
    wire = message(WireForm.NONE, person)
    assert read(wire).keys() == expected
    assert [a.addr_spec for a in read(wire)["To"].addresses] == ["ada@example.org"]
    assert wire.endswith(b"\r\n")
    assert b"\n" not in wire.replace(b"\r\n", b"")
    assert not any(line.startswith(b".") for line in wire.split(b"\r\n"))


def test_a_template_without_the_preferences_link_is_as_good() -> None:
    assert "/p/" not in str(read(message(WireForm.NONE, factories.recipient())))
    linked = replace(EMAIL, text=f"{EMAIL.text}{N}-preferences-\n")
    text = read(message(WireForm.NONE, factories.recipient(), linked)).get_body(["plain"])
    token = text.get_content().split("/p/")[1].strip()
    assert PreferencesToken.read(KEYS, token) == PreferencesToken(1, 3)


def test_the_headers_of_a_bulk_mail() -> None:
    parsed = read(message(WireForm.INDIVIDUAL, factories.recipient()))
    assert parsed["From"] == "Field Notes <editor@example.org>"
    assert parsed["To"] == "Ada <ada@example.org>"
    assert parsed["List-Id"] == "<field-notes.example.org>"
    assert parsed["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert parsed["List-Help"] == "<mailto:editor@example.org?subject=Help>"
    assert parsed["Precedence"] == "bulk"
    assert parsed["Feedback-ID"] == "7:field-notes:issue:example.org"
    assert parsed["Date"].datetime == factories.frozen(EMAIL).date
    url = parsed["List-Unsubscribe"].strip("<>")
    assert url.startswith("https://news.example.org/u/")
    assert LeaveToken.read(KEYS, url.rpartition("/")[2]) == LeaveToken(Door.HEADER, 1, 3, 7, 42)
    for name in ("Message-ID", "Date", "From", "To", "Subject", "MIME-Version", "List-Unsubscribe"):
        assert len(parsed.get_all(name, [])) == 1


def test_every_attempt_is_the_same_message_and_every_person_another() -> None:
    ada, bob = factories.recipient(), factories.recipient("bob@example.org", "Bob")
    assert message(WireForm.NONE, ada) == message(WireForm.NONE, ada)
    ids = {read(message(form, ada))["Message-ID"] for form in WireForm}
    assert len(ids) == 1
    assert ids != {read(message(WireForm.NONE, bob))["Message-ID"]}


def test_what_the_three_wire_forms_tell() -> None:
    ada, bob = factories.recipient(), factories.recipient("bob@example.org", "Bob")
    none, aggregate, individual = (read(message(form, ada)) for form in WireForm)
    assert "/o/" not in str(none.get_body(["html"]))
    assert "/c/" not in str(none)
    assert "https://example.org/?a=1&b=2" in none.get_body(["plain"]).get_content()

    def tracked(parsed: EmailMessage) -> str:
        return str(parsed.get_body(["plain"]).get_content()).split("/c/")[1].split("/")[0]

    assert TrackingToken.read(KEYS, tracked(aggregate)) == TrackingToken(7, None)
    assert TrackingToken.read(KEYS, tracked(individual)) == TrackingToken(7, 42)
    assert tracked(aggregate) == tracked(read(message(WireForm.AGGREGATE, bob)))


def test_an_address_beyond_ascii_is_written_with_its_domain_as_a_label() -> None:
    person = factories.recipient("jürgen@bücher.org", "")
    wire = message(WireForm.NONE, person)
    assert "To: jürgen@xn--bcher-kva.org\r\n".encode() in wire


@pytest.mark.parametrize("name", ["pixel", "unsubscribe", "link9", "other"])
def test_a_placeholder_that_nothing_fills_is_never_sent(name: str) -> None:
    with pytest.raises(LeftoverError):
        prepare(factories.frozen(replace(EMAIL, subject=f"{N}-{name}-")), WireForm.NONE)


@pytest.mark.parametrize("trace", [f"{N}-LINK1", f"{N}-LINK1-".upper()])
def test_a_damaged_placeholder_is_never_sent(trace: str) -> None:
    damaged = replace(EMAIL, html=EMAIL.html + trace)
    with pytest.raises(LeftoverError, match="damaged"):
        prepare(factories.frozen(damaged), WireForm.NONE)


def test_an_address_that_was_never_parsed_is_refused() -> None:
    smuggled = Recipient(3, "a@example.org\r\nBcc: b@example.org", "a@example.org")
    mail = prepare(factories.frozen(EMAIL), WireForm.NONE)
    with pytest.raises(HeaderError):
        personalise(mail, smuggled, 1, KEYS)
