"""Replies off the wire, envelopes onto it: whatever the bytes, and however they are cut."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from newsletter.mail.replies import parse_reply
from newsletter.mail.smtp import BodyError, Envelope, dot_stuffed
from newsletter.mail.smtp_envelope import Offers, xtext
from newsletter.mail.smtp_replies import MAX_REPLY_BYTES, RawReply, ReplyError, ReplyReader

texts = st.binary(max_size=40).map(lambda text: text.replace(b"\n", b"").replace(b"\r", b""))
replies = st.tuples(st.integers(200, 599), st.lists(texts, min_size=1, max_size=4))


def spoken(reply: tuple[int, list[bytes]]) -> bytes:
    code, lines = reply
    *first, last = lines
    return b"".join(b"%d-%s\r\n" % (code, line) for line in first) + b"%d %s\r\n" % (code, last)


def read(*chunks: bytes) -> tuple[list[RawReply], bool]:
    """All replies, and whether what follows them is none."""
    reader, found = ReplyReader(), list[RawReply]()
    try:
        for chunk in chunks:
            reader.feed(chunk, found)
    except ReplyError:
        return found, True
    return found, False


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(place % (len(data) + 1) for place in at)})
    return [data[a:b] for a, b in pairwise(places)]


@given(st.lists(replies, max_size=5), st.lists(st.integers(0, 2000), max_size=12))
def test_replies_are_the_same_however_their_bytes_are_cut(
    said: list[tuple[int, list[bytes]]], at: list[int]
) -> None:
    wire = b"".join(map(spoken, said))
    expected = [(code, b"\n".join(lines)) for code, lines in said]
    assert read(*cut(wire, at)) == (expected, False)


@given(
    st.lists(st.one_of(replies.map(spoken), st.binary(max_size=30)), max_size=5).map(b"".join),
    st.lists(st.integers(0, 2000), max_size=12),
)
@example(b"250-a\r\n550 b\r\n", [3])
def test_garbage_is_found_at_the_same_place_however_it_is_cut(wire: bytes, at: list[int]) -> None:
    assert read(*cut(wire, at)) == read(wire)


@pytest.mark.parametrize(
    "garbage",
    [b"hello\r\n", b"\r\n", b"25\r\n", b"2500 x\r\n", b"199 x\r\n", b"600 x\r\n", b"2 5 x\r\n",
     b"250-a\r\n251 b\r\n", b"\xff\xfe\n", b"+50 x\r\n"],
)  # fmt: skip
def test_what_is_no_reply_is_told_from_the_replies_before_it(garbage: bytes) -> None:
    assert read(b"250 Ok\r\n" + garbage + b"250 late\r\n") == ([(250, b"Ok")], True)


@pytest.mark.parametrize("size", [10_000, MAX_REPLY_BYTES - 1, MAX_REPLY_BYTES, 100_000])
@pytest.mark.parametrize("line", [b"250 %s\r\n", b"250-x\r\n250 %s\r\n"])
def test_a_long_reply_is_one_up_to_a_limit_however_it_is_cut(line: bytes, size: int) -> None:
    wire = line % (b"x" * (size - len(line) + 2))
    whole = read(wire)
    assert whole[1] is (size > MAX_REPLY_BYTES)
    assert read(*cut(wire, list(range(0, size, 1000)))) == whole
    assert read(wire[:-1], wire[-1:]) == whole


def test_a_reply_without_end_is_none() -> None:
    assert read(*[b"250-" + b"x" * 996] * 70) == ([], True)
    assert read(*[b"250-x\r\n"] * 10_000)[1]


@given(st.text(max_size=80))
def test_a_short_reply_is_read_like_any_other(text: str) -> None:
    """The line that has an address takes the long way: both must say the same."""
    line = text.replace("@", "").replace("\n", "")
    short, long = parse_reply(250, line), parse_reply(250, line + "\n")
    assert short == long


@pytest.mark.parametrize(
    ("envelope", "mail", "rcpt"),
    [
        (Envelope("a@b.org", "c@d.org"), b"MAIL FROM:<a@b.org>", b"RCPT TO:<c@d.org>"),
        (
            Envelope("a@b.org", "c@d.org", size=7, envid="x=1+ 2"),
            b"MAIL FROM:<a@b.org> SIZE=7 RET=HDRS ENVID=x+3D1+2B+202",
            b"RCPT TO:<c@d.org> NOTIFY=FAILURE,DELAY",
        ),
        (
            Envelope("a@b.org", "ü@d.org", smtputf8=True),
            b"MAIL FROM:<a@b.org> BODY=8BITMIME SMTPUTF8",
            "RCPT TO:<ü@d.org>".encode(),
        ),
        (
            Envelope("a@b.org", "c@d.org", eight_bit=True),
            b"MAIL FROM:<a@b.org> BODY=8BITMIME",
            b"RCPT TO:<c@d.org>",
        ),
    ],
)
def test_an_envelope_asks_for_what_it_needs(envelope: Envelope, mail: bytes, rcpt: bytes) -> None:
    every = {"SIZE": "1000", "DSN": "", "SMTPUTF8": "", "8BITMIME": ""}
    assert Offers(every).commands(envelope) == (mail + b"\r\n", rcpt + b"\r\n", b"DATA\r\n")
    assert Offers(every).refusal(envelope) is None


def test_nothing_is_asked_for_that_is_not_offered() -> None:
    envelope = Envelope("a@b.org", "c@d.org", size=7, envid="x")
    assert Offers({}).commands(envelope)[:2] == (
        b"MAIL FROM:<a@b.org>\r\n",
        b"RCPT TO:<c@d.org>\r\n",
    )


@given(st.text(max_size=50))
def test_xtext_has_nothing_that_ends_a_parameter(value: str) -> None:
    written = xtext(value)
    assert all("!" <= character <= "~" and character != "=" for character in written)
    parts = written.split("+")
    read_back = parts[0].encode() + b"".join(
        bytes([int(part[:2], 16)]) + part[2:].encode() for part in parts[1:]
    )
    assert read_back.decode() == value


def test_dots_are_doubled_where_a_line_begins_with_one() -> None:
    assert dot_stuffed(b".a\r\n.\r\nb.\r\n..\r\n") == b"..a\r\n..\r\nb.\r\n...\r\n"


@pytest.mark.parametrize("wire", [b"a\nb\r\n", b"a\rb\r\n", b"a\r\r\n", b"\n.\n\r\n", b"a", b""])
def test_a_body_that_two_servers_could_read_differently_is_refused(wire: bytes) -> None:
    with pytest.raises(BodyError):
        dot_stuffed(wire)
