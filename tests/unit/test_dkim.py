"""DKIM: the quick way hashes what the plain way hashes, and a stranger's verifier agrees."""

import html
import re
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from email import message_from_bytes, policy
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from dkim.canonicalization import Relaxed
from hypothesis import example, given, settings
from hypothesis import strategies as st

from newsletter.core.tokens import TokenKeys
from newsletter.mail import dkim_keys
from newsletter.mail.address import Address
from newsletter.mail.dkim import SIGNED_FIELDS, SignedMessage, Signer, canonical_fields
from newsletter.mail.headers import mailbox, structured, unstructured
from newsletter.mail.mime import Context, Part, PreparedMessage, Slot, alternative, encoded
from newsletter.rendering.compiled import WireForm
from newsletter.rendering.message import personalise, prepare, system_message
from subscribers.recipient import Recipient
from tests import factories
from tests.dkim_keys import BOTH, ED25519, verified

KEYS = TokenKeys.from_secrets("a secret")
AT = datetime(2026, 6, 17, 6, tzinfo=UTC)
ADA = factories.recipient()
EMAIL = factories.compiled().email

SPACES = ["  ", "\t", " \t ", " \n", "\n", "\n\n", " ", "\r", ".", "=", " =\n", "\x0b"]
texts = st.lists(st.text(max_size=30) | st.sampled_from(SPACES), max_size=10).map("".join)


def plainly_relaxed(body: bytes) -> bytes:
    """RFC 6376 section 3.4.4 word for word, over the whole body at once."""
    lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)


def signatures(wire: bytes) -> list[dict[str, str]]:
    """The tags of each signature, folding taken out."""
    found = message_from_bytes(wire).get_all("DKIM-Signature", [])
    tags = [[tag.partition("=") for tag in str(field).split(";")] for field in found]
    return [{name.strip(): "".join(value.split()) for name, _, value in pairs} for pairs in tags]


def body_hash(wire: bytes) -> bytes:
    return b64decode(signatures(wire)[0]["bh"])


def signed(form: WireForm = WireForm.INDIVIDUAL, person: Recipient = ADA) -> bytes:
    return personalise(prepare(factories.frozen(EMAIL), form, BOTH), person, 42, KEYS)


@settings(max_examples=200)
@given(st.lists(texts, min_size=1, max_size=5), st.lists(texts, min_size=2, max_size=2))
@example(["a ", " b"], ["", " "])
@example(["a\t", "\tb "], [" \n", "  "])
@example(["", ""], ["a  b", "\t"])
@example(["x\n\n", "\n\n"], ["\n", "\n "])
def test_the_body_hash_of_pieces_is_that_of_the_whole(pieces: list[str], texts: list[str]) -> None:
    slots = [Slot("one", Context.TEXT), Slot("two", Context.HTML)]
    cut: list[str | Slot] = [pieces[0]]
    for number, piece in enumerate(pieces[1:]):
        cut += [slots[number % 2], piece]
    message = alternative([b"From: a@example.org\r\n"], [Part("plain", cut), Part("html", cut)])
    by_slot = dict(zip(slots, texts, strict=True))
    wire = SignedMessage(message, [ED25519], AT).splice(
        [encoded(by_slot[slot], slot.context) for slot in message.slots]
    )
    body = wire.partition(b"\r\n\r\n")[2]
    expected = plainly_relaxed(body)
    assert body_hash(wire) == sha256(expected).digest()
    assert expected == Relaxed.canonicalize_body(body)


words = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=200)


@given(words, words)
@example("a  b " * 40, "  ")
def test_fields_are_relaxed_as_a_verifier_relaxes_them(subject: str, name: str) -> None:
    block = unstructured("Subject", subject) + mailbox(
        "To", Address.parse("jürgen@example.org"), name
    )
    found = canonical_fields(block + b"X-Delivery-Id: 7\r\nsubject :\t a\r\n\t b \r\n")
    assert found.names == [b"subject", b"to", b"subject"]
    fields = re.findall(rb"([^:]+):((?:.|\r\n[ \t])*\r\n)", block)
    relaxed = Relaxed.canonicalize_headers(fields)
    plain = [b"subject:a b\r\n", *(n + b":" + v for n, v in reversed(relaxed))]
    assert found.canonical == b"".join(plain)


@settings(max_examples=40)
@given(words, st.sampled_from(list(WireForm)))
def test_a_verifier_accepts_both_signatures(name: str, form: WireForm) -> None:
    assert verified(signed(form, factories.recipient(name=name))) == [True, True]


@pytest.mark.parametrize("signer", BOTH, ids=["rsa", "ed25519"])
def test_one_key_is_enough(signer: Signer) -> None:
    mail = prepare(factories.frozen(EMAIL), WireForm.NONE, [signer])
    assert verified(personalise(mail, ADA, 42, KEYS)) == [True]


def test_what_the_fields_say() -> None:
    rsa, ed25519 = signatures(signed())
    assert (rsa["a"], ed25519["a"]) == ("rsa-sha256", "ed25519-sha256")
    assert (rsa["s"], ed25519["s"]) == ("a", "b")
    for tags in (rsa, ed25519):
        assert (tags["v"], tags["c"], tags["d"]) == ("1", "relaxed/relaxed", "example.org")
        assert tags["t"] == str(int(factories.frozen(EMAIL).date.timestamp()))
        assert "l" not in tags


def test_every_field_is_named_once_more_than_it_occurs() -> None:
    wire = signed()
    present = [name.lower() for name in message_from_bytes(wire).keys()]  # noqa: SIM118
    for tags in signatures(wire):
        named = tags["h"].split(":")
        for name in SIGNED_FIELDS:
            assert named.count(name) == present.count(name) + 1, name
        assert set(named) == set(SIGNED_FIELDS)
    assert set(present) - set(SIGNED_FIELDS) == {"dkim-signature", "x-delivery-id"}


@pytest.mark.parametrize(
    "name", ["From", "To", "Cc", "Subject", "Reply-To", "List-Unsubscribe", "Content-Type"]
)
def test_a_field_added_on_the_way_breaks_both_signatures(name: str) -> None:
    added = f"{name}: <somebody@example.net>\r\n".encode()
    assert verified(added + signed()) == [False, False]
    head, gap, body = signed().partition(b"\r\n\r\n")
    assert verified(head + b"\r\n" + added.removesuffix(b"\r\n") + gap + body) == [False, False]


def test_a_change_of_the_text_breaks_both_and_a_trace_field_none() -> None:
    wire = signed()
    assert verified(wire.replace(b"First", b"Worst", 1)) == [False, False]
    assert verified(wire + b"More.\r\n") == [False, False]
    trace = b"Received: from a by b; Wed, 17 Jun 2026 06:00:01 +0000\r\n"
    assert verified(trace + wire) == [True, True]


def test_but_for_the_signatures_it_is_the_unsigned_message() -> None:
    mail = prepare(factories.frozen(EMAIL), WireForm.INDIVIDUAL)
    unsigned = personalise(mail, ADA, 42, KEYS)
    wire = signed()
    assert wire.endswith(unsigned)
    parsed = message_from_bytes(wire, policy=policy.default)
    assert not parsed.defects
    signature = wire.removesuffix(unsigned)
    assert len(re.findall(rb"(?m)^DKIM-Signature: ", signature)) == 2
    assert max(map(len, signature.split(b"\r\n"))) <= 78
    assert b"\n" not in signature.replace(b"\r\n", b"")


def test_every_attempt_is_signed_alike() -> None:
    assert signed() == signed()


def test_fields_that_come_and_go_between_recipients_are_signed_as_they_are() -> None:
    slot = Slot("extra", Context.HEADER)
    message = alternative([b"From: a@example.org\r\n", slot], [Part("plain", ["x\n"])])
    signing = SignedMessage(message, BOTH, AT)
    for extra in (b"", structured("To", "b@example.org"), b"", b"To: b@x.org\r\nCc: c@x.org\r\n"):
        assert verified(signing.splice([extra])) == [True, True]


def test_fields_of_the_same_name_are_signed_from_the_last_up() -> None:
    twice = b"To: a@example.org\r\nFrom: a@example.org\r\nTo: b@example.org\r\n"
    wire = SignedMessage(alternative([twice], [Part("plain", ["x"])]), BOTH, AT).splice([])
    assert verified(wire) == [True, True]


def test_a_system_mail_is_signed() -> None:
    to = Address.parse("ada@example.org")
    bodies = ("Confirm.\n", html.escape("<p>Confirm.\n"))
    wire = system_message(factories.identity(), to, "Confirm", bodies, date=AT, signers=BOTH)
    assert verified(wire) == [True, True]
    plain = system_message(factories.identity(), to, "Confirm", bodies, date=AT)
    assert wire.endswith(plain)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"From: a@b.c\r\n\r\nx ", Slot("s", Context.TEXT), b"=\r\n"],
        [b"From: a@b.c\r\n\r\nx=\r\n", Slot("s", Context.TEXT), b" y\r\n"],
        [b"From: a@b.c\r\n\r\nx=\r\n", Slot("s", Context.TEXT)],
        [b"From: a@b.c\r\n\r\nx\r\n\r\n"],
        [b"From: a@b.c\r\n"],
    ],
)
def test_a_body_that_cannot_be_taken_piece_by_piece_is_refused(pieces: list[bytes | Slot]) -> None:
    with pytest.raises(AssertionError):
        SignedMessage(PreparedMessage(pieces), BOTH, AT)


def test_the_example_of_rfc_8463_reads_back() -> None:
    """Section A: the seed and the record that belongs to it."""
    seed = b64decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    public = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    key = Ed25519PrivateKey.from_private_bytes(seed)
    assert dkim_keys.record(key) == f"v=DKIM1; k=ed25519; p={public}"
    assert b64encode(key.public_key().public_bytes_raw()).decode() == public
