"""MIME in segments: lines that survive every relay, slots that change nothing around them."""

import html
import quopri
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from newsletter.mail.mime import (
    Context,
    Part,
    PreparedMessage,
    Slot,
    alternative,
    encoded,
    quoted_printable,
)

NASTY = ["\n.\n", "\r.\r", "\r\n.\r\n", "\0", ".", "From me", "\nFrom you", "=", "a \n", "\t\n"]

anything = st.lists(st.text(max_size=40) | st.sampled_from(NASTY), max_size=12).map("".join)


def canonical(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def safe_lines(wire: bytes) -> bool:
    """CRLF only, at most 76 characters, nothing that SMTP or a mailbox file would mistake."""
    return all(
        len(line) <= 76
        and line.isascii()
        and not any(c in line for c in b"\r\n\0")
        and not line.startswith((b".", b"From "))
        and not line.endswith((b" ", b"\t"))
        for line in wire.split(b"\r\n")
    )


@given(anything)
@example("x" * 76)
@example("é" * 100)
@example(" " * 80)
@example("." * 200)
@example("x" * 75 + ".")
@example("x" * 75 + "From here")
def test_quoted_printable_reads_back_and_its_lines_are_safe(text: str) -> None:
    written = quoted_printable(text)
    assert safe_lines(written)
    assert len(written.rpartition(b"\r\n")[2]) <= 75
    read = quopri.decodestring(written).decode()
    assert canonical(read) == canonical(text)


@given(st.lists(anything, min_size=1, max_size=5), anything)
@example(["", ""], "")
@example(["", ""], ".")
@example(["Fro", " it"], "m")
@example(["a.", ".b"], "\r")
def test_a_spliced_part_reads_as_if_written_in_one(pieces: list[str], value: str) -> None:
    for context, shown in ((Context.TEXT, value), (Context.HTML, html.escape(value))):
        slot = Slot("value", context)
        cut: list[str | Slot] = [pieces[0]]
        for piece in pieces[1:]:
            cut += [slot, piece]
        message = alternative([b"Subject: x\r\n"], [Part("plain", cut)])
        wire = message.splice([encoded(value, context) for _ in message.slots])
        assert safe_lines(wire)
        (part,) = _parts(wire)
        # A line break in a slot stands alone, whatever its neighbours in the text are.
        expected = canonical(shown).join(map(canonical, pieces))
        assert canonical(part.get_payload(decode=True).decode()) == expected


def _parts(wire: bytes) -> list[EmailMessage]:
    message = message_from_bytes(wire, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return list(message.iter_parts())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value", ["Ada", "Ada Reader", "From me", "a.b", "x" * 75, "a=b", "<&>", " "]
)
def test_the_fast_path_and_the_slow_one_agree(value: str) -> None:
    assert encoded(value, Context.TEXT) == quoted_printable(value)
    assert encoded(value, Context.HTML) == quoted_printable(html.escape(value))


def test_the_parts_of_an_alternative_are_utf8_text_and_html() -> None:
    wire = alternative([], [Part("plain", ["grüß\n"]), Part("html", ["<p>grüß\n"])]).splice([])
    plain, rich = _parts(wire)
    assert (plain.get_content_type(), rich.get_content_type()) == ("text/plain", "text/html")
    assert plain.get_content() == "grüß\r\n"
    assert {part["Content-Transfer-Encoding"] for part in (plain, rich)} == {"quoted-printable"}
    assert wire.endswith(b"--\r\n")


def test_the_boundary_follows_from_the_content_and_cannot_occur_in_it() -> None:
    def made(text: str) -> bytes:
        return alternative([], [Part("plain", [text])]).splice([])

    boundary = message_from_bytes(made("text")).get_boundary()
    assert boundary is not None
    assert made("text") == made("text")
    assert boundary.encode() not in made("other text")
    hostile = made(f"\n--{boundary}--\n")
    assert len(_parts(hostile)) == 1
    assert f"--{boundary}".encode() not in hostile


def test_one_value_fills_all_places_of_its_slot() -> None:
    name = Slot("name", Context.HEADER)
    message = PreparedMessage([name, b" and ", name, b" and ", Slot("other", Context.HEADER)])
    assert [slot.name for slot in message.slots] == ["name", "other"]
    assert message.splice([b"A", b"B"]) == b"A and A and B"
    assert message.splice([b"C", b"D"]) == b"C and C and D"
