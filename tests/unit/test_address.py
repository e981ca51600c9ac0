"""Addresses: strict, one key per mailbox, no way to break out of a command or header."""

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from newsletter.mail.address import MAX_CHARACTERS, Address, AddressError
from tests.unit.isemail_verdicts import VERDICTS, Verdict


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


@pytest.fixture(scope="module")
def isemail(shared: Path) -> dict[int, tuple[str, str]]:
    """(text, is_email's category) of each case; control characters stand there as pictures."""
    return {
        int(case.get("id") or 0): (
            re.sub(
                "[\u2400-\u241f]", lambda c: chr(ord(c[0]) - 0x2400), case.findtext("address") or ""
            ),
            case.findtext("category") or "",
        )
        for case in ET.parse(shared / "corpora" / "isemail" / "tests.xml").iter("test")
    }


def test_every_case_of_the_isemail_corpus_has_one_verdict(
    isemail: dict[int, tuple[str, str]],
) -> None:
    judged = [case for verdict in VERDICTS for case in verdict.cases]
    assert sorted(judged) == sorted(isemail)


@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda verdict: verdict.why[:40])
def test_the_verdict_on_the_isemail_corpus_is_the_reviewed_one(
    isemail: dict[int, tuple[str, str]], verdict: Verdict
) -> None:
    found = {case: isemail[case] for case in verdict.cases}
    wrong = {case: text for case, (text, _) in found.items() if _is_taken(text) != verdict.taken}
    assert wrong == {}
    if verdict.category:
        assert {category for _, category in found.values()} == {verdict.category}
    for text, _ in found.values() if verdict.taken else ():
        assert Address.parse(text).key == text.strip().lower()


def _is_taken(text: str) -> bool:
    try:
        Address.parse(text)
    except AddressError:
        return False
    return True
