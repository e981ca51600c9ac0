"""Header fields: folded, encoded, and nothing gets out of them."""

import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from newsletter.mail import headers
from newsletter.mail.address import Address, AddressError
from newsletter.mail.headers import HeaderError

EDITOR = Address.parse("editor@example.org")


def parsed(field: bytes) -> EmailMessage:
    message = message_from_bytes(field + b"\r\n", policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def one_field(field: bytes) -> bool:
    """CRLF only, one field: whatever follows a line break is a continuation."""
    lines = field.removesuffix(b"\r\n").split(b"\r\n")
    return (
        field.endswith(b"\r\n")
        and not any(c in line for line in lines for c in b"\r\n\0")
        and all(line.startswith(b" ") and line.strip() for line in lines[1:])
    )


@given(st.text(max_size=300))
@example("Bcc: everybody")
@example("a\r\nBcc: b@example.org")
@example("=?utf-8?q?spoofed?=")
@example("  spaces   everywhere ")
@example("x" * 2000)
@example(" ".join(["word"] * 200))
@example("Grüße 👋 " * 30)
def test_a_subject_reads_back_as_written_or_is_refused(value: str) -> None:
    try:
        field = headers.unstructured("Subject", value)
    except HeaderError:
        assert any(not c.isprintable() for c in value)
        return
    assert one_field(field)
    assert field.isascii()
    assert max(map(len, field.split(b"\r\n"))) <= headers.FOLD_AT
    assert parsed(field).keys() == ["Subject"]
    assert parsed(field)["Subject"] == value


@given(st.text(max_size=120))
@example('Ada "the Countess" Reader')
@example("Reader, Ada <ada@example.org>")
@example("back\\slash; (comment) @ here")
@example("=?utf-8?b?cw==?=")
@example("Ærøskøbing Ångström " * 6)
def test_a_display_name_reads_back_and_never_adds_an_address(name: str) -> None:
    try:
        field = headers.mailbox("To", EDITOR, name)
    except HeaderError:
        assert any(not c.isprintable() for c in name)
        return
    assert one_field(field)
    (mailbox,) = parsed(field)["To"].addresses
    assert mailbox.addr_spec == "editor@example.org"
    # Python 3.11's own reader of mailboxes leaves spaces between encoded words.
    written, _ = parseaddr(field.decode().removeprefix("To:").replace("\r\n", ""))
    assert str(make_header(decode_header(written))) == " ".join(name.split())


@given(st.emails())
@example("o'neil+tag@example.org")
@example("jürgen@bücher.org")
def test_an_address_reads_back_with_its_domain_as_a_label(text: str) -> None:
    try:
        address = Address.parse(text)
    except AddressError:
        assume(False)
    field = headers.mailbox("To", address, "Reader")
    assert one_field(field)
    assert f"<{address.local_part}@{address.domain}>".encode() in field
    assert max(map(len, field.split(b"\r\n"))) <= headers._HARD_LIMIT


@pytest.mark.parametrize("character", ["\r", "\n", "\0", "\t", "\x7f", "\x85", "\u2028"])
def test_a_control_character_is_refused_and_the_field_named(character: str) -> None:
    for write in (headers.unstructured, headers.structured):
        with pytest.raises(HeaderError, match=r"header X-Thing: control character U\+"):
            write("X-Thing", f"one{character}two")
    with pytest.raises(HeaderError, match="header From"):
        headers.mailbox("From", EDITOR, f"one{character}two")


@pytest.mark.parametrize("text", ["a@example.org, b", "a>b", "a b", "a\r\nBcc: b", "a\nb"])
def test_an_address_that_was_never_parsed_cannot_break_out(text: str) -> None:
    smuggled = Address.stored(f"{text}@example.org", "a@example.org")
    with pytest.raises(HeaderError, match="header To"):
        headers.mailbox("To", smuggled)


def test_plain_names_stay_readable() -> None:
    assert (
        headers.mailbox("From", EDITOR, "Ada Reader")
        == b"From: Ada Reader <editor@example.org>\r\n"
    )
    assert headers.mailbox("From", EDITOR, "Reader, A.") == (
        b'From: "Reader, A." <editor@example.org>\r\n'
    )
    assert headers.mailbox("From", EDITOR) == b"From: editor@example.org\r\n"


@given(st.text(alphabet="aZ0 .,'\"=?_-é<@", max_size=80), st.text("ab.+", max_size=70))
@example("Ada  Reader", "a")
@example("A =?utf-8?q?b?= c", "a")
@example("x" * 61, "a")
@example("Ada " * 18, "a")
def test_the_fast_path_of_mailboxes_and_the_slow_one_agree(name: str, local_part: str) -> None:
    address = Address.stored(f"{local_part}@example.org", "@example.org")
    written = mailbox(address, name)
    with pytest.MonkeyPatch.context() as without:
        without.setattr(headers, "_PLAIN_MAILBOX", re.compile(r"(?!)"))
        assert mailbox(address, name) == written


def mailbox(address: Address, name: str) -> bytes:
    return headers.mailbox("To", address, name)


def test_a_long_subject_is_folded_at_its_spaces() -> None:
    field = headers.unstructured("Subject", " ".join(["twelve chars"] * 12))
    assert field.count(b"\r\n ") == 2
    assert b"=?" not in field


def test_encoded_words_keep_within_their_75_characters() -> None:
    field = headers.unstructured("Subject", "ü" * 500)
    assert max(len(word) for word in field.split()) <= 75


def test_a_structured_field_is_ascii_and_within_the_hard_limit() -> None:
    with pytest.raises(HeaderError, match="expected ASCII"):
        headers.structured("List-Id", "<bücher.example.org>")
    with pytest.raises(HeaderError, match="998"):
        headers.structured("List-Id", "x" * 1000)


def test_a_date_is_written_with_its_zone() -> None:
    moment = datetime(2026, 6, 17, 9, 30, tzinfo=UTC)
    assert headers.date("Date", moment) == b"Date: Wed, 17 Jun 2026 09:30:00 +0000\r\n"
