"""Addresses: strict, one key per mailbox, no way to break out of a command or header."""

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from newsletter.mail.address import MAX_CHARACTERS, Address, AddressError


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("ada@example.org", "ada@example.org"),
        ("Ada.Reader@Example.ORG", "ada.reader@example.org"),
        (" ada@example.org ", "ada@example.org"),
        ("jürgen@bücher.org", "jürgen@xn--bcher-kva.org"),
        ("o'neil+news@example.org", "o'neil+news@example.org"),
    ],
)
def test_one_mailbox_has_one_key(typed: str, key: str) -> None:
    assert Address.parse(typed).key == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ada",
        "ada@",
        "@example.org",
        "ada@example",
        "ada@@example.org",
        "ada b@example.org",
        "ada@example.org, bob@example.org",
        "<ada@example.org>",
        "ada@example.org\r\nBcc: bob@example.org",
        "ada\0@example.org",
        "ada..b@example.org",
        "ada@-example.org",
        "a" * 65 + "@example.org",
        "ada@" + "a." * 130 + "org",
    ],
)
def test_what_is_no_address_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(AddressError, match=r"row 7"):
        Address.parse(text, place="row 7")


@given(st.emails() | st.text(max_size=80))
@example("ada@example.org\n")
@example("ada@exam\u2028ple.org")
def test_whatever_is_accepted_is_safe_and_stable(text: str) -> None:
    try:
        address = Address.parse(text)
    except AddressError:
        return
    assert not re.search(r"[\x00-\x20\x7f<>,;]", address.envelope)
    assert len(address.envelope) <= MAX_CHARACTERS
    assert address.envelope.count("@") == 1
    assert Address.parse(address.key).key == address.key
    assert Address.stored(address.typed, address.key).envelope == address.envelope
    assert address.needs_smtputf8 == (not address.envelope.isascii())


_PLAIN_TEXTS = st.from_regex(
    r"\A[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~\-]{1,66}@[a-zA-Z0-9.\-]{1,40}(\.(org|COM|x|1|test))?\Z"
)
_ROLES = st.sampled_from(["Info", "ABUSE", "postmaster", "news", "Newsy"]).map(
    "{}@Example.ORG".format
)


@settings(max_examples=500)
@given(_PLAIN_TEXTS | _ROLES | st.emails() | st.text(max_size=40))
@example("a" * 64 + "@example.org")
@example("a" * 65 + "@example.org")
@example("a@" + "b." * 124 + "org")
@example("a@" + "b." * 125 + "org")
@example("a@xn--bcher-kva.org")
@example("a@XN--bcher-kva.org")
@example("a@xn--nothing-.org")
@example("a@b_c.org")
@example("a@example.org.")
@example("a@localhost")
@example(" a@example.org\n")
def test_the_short_way_of_plain_addresses_leads_where_the_long_one_does(text: str) -> None:
    assert _verdict(Address.parse, text) == _verdict(_by_the_whole_check, text)


def _by_the_whole_check(text: str) -> Address:
    return Address._checked(text.strip(), "address")


def _verdict(parse: Callable[[str], Address], text: str) -> Address | str:
    try:
        return parse(text)
    except AddressError as error:
        return str(error)


def test_the_isemail_corpus(shared: Path) -> None:
    """Of the addresses that the corpus calls invalid, we take none."""
    cases = ET.parse(shared / "corpora" / "isemail" / "tests.xml").iter("test")
    by_category: dict[bool, list[str]] = {True: [], False: []}
    for case in cases:
        text = re.sub(
            "[\u2400-\u241f]", lambda c: chr(ord(c[0]) - 0x2400), case.findtext("address") or ""
        )
        by_category[case.findtext("category") == "ISEMAIL_ERR"].append(text)
    assert len(by_category[True]) > 50
    taken = [text for text in by_category[True] if _is_taken(text)]
    assert [text for text in taken if text == text.strip()] == []  # white space around is ours
    assert sum(map(_is_taken, by_category[False])) > 10


def _is_taken(text: str) -> bool:
    try:
        Address.parse(text)
    except AddressError:
        return False
    return True
