"""DKIM signatures over prepared messages: relaxed/relaxed, RSA and Ed25519 (RFC 6376, 8463).

What is the same for all recipients is canonicalised when a message is prepared; per recipient only
the values of its slots are. See docs/decisions/0011-signing-canonicalises-once.md.
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from newsletter.mail import headers
from newsletter.mail.dkim_keys import PrivateKey, algorithm_of
from newsletter.mail.mime import Context, PreparedMessage, Slot

SIGNED_FIELDS = (
    *("from", "reply-to", "to", "cc", "subject", "date", "message-id", "in-reply-to", "references"),
    *("mime-version", "content-type", "auto-submitted", "precedence", "feedback-id"),
    *("list-id", "list-unsubscribe", "list-unsubscribe-post", "list-help", "list-archive"),
    *("list-subscribe", "list-post", "list-owner"),
)
"""Signed where they occur, and once more than that: nobody can add one on the way."""

_SIGNED = frozenset(name.encode() for name in SIGNED_FIELDS)
_NAME = "DKIM-Signature"
_LINE = 72
_PADDING, _HASH = PKCS1v15(), SHA256()
_SIGNATURES = Slot("dkim", Context.HEADER)

_END_OF_FIELD = re.compile(rb"\r\n(?![ \t])")
_RUN = re.compile(rb"[ \t]+")
_RUN_AT_LINE_END = re.compile(rb"[ \t]+(?=\r\n)")


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key and where its public half is found.

    Attributes:
        domain: `d=`, as A-label.
        selector: `s=`.
    """

    domain: str
    selector: str
    key: PrivateKey = field(repr=False)

    def sign(self, canonical: bytes) -> bytes:
        """The raw signature of canonical header fields; the same bytes each time."""
        if isinstance(self.key, RSAPrivateKey):
            return self.key.sign(canonical, _PADDING, _HASH)
        return self.key.sign(sha256(canonical).digest())


class SignedMessage:
    """A prepared message that gets one DKIM-Signature field per signer when it is spliced.

    Attributes:
        slots: as those of the message.
    """

    def __init__(
        self, message: PreparedMessage, signers: Sequence[Signer], signed_at: datetime
    ) -> None:
        self.slots = message.slots
        self._signers = signers
        self._signed_at = signed_at
        self._forms: dict[tuple[bytes, ...], Sequence[_Form]] = {}
        self._wire = PreparedMessage([_SIGNATURES, *message.pieces])
        head, (first, *rest) = _halves(message.pieces)
        # Bottom up, the order in which verifiers use up fields of the same name.
        self._head = [
            self.slots.index(piece) if isinstance(piece, Slot) else canonical_fields(piece)
            for piece in reversed(head)
        ]
        assert isinstance(first, bytes), "the bytes behind the empty line, none at the least"
        self._start = sha256(relaxed(first))
        self._rest = PreparedMessage(
            [piece if isinstance(piece, Slot) else relaxed(piece) for piece in rest]
        )
        self._in_body = [self.slots.index(slot) for slot in self._rest.slots]

    def splice(self, values: Sequence[bytes]) -> bytes:
        """The signed message for one recipient; `values` as `PreparedMessage.splice` takes them."""
        digest = self._start.copy()
        digest.update(self._rest.splice([_relaxed_value(values[n]) for n in self._in_body]))
        body_hash = b64encode(digest.digest())
        found = [canonical_fields(values[h]) if isinstance(h, int) else h for h in self._head]
        names = tuple(name for fields in found for name in fields.names)
        canonical = b"".join([fields.canonical for fields in found])
        forms = self._forms.get(names) or self._new_forms(names)
        signatures = b"".join([form.signature(canonical, body_hash) for form in forms])
        return self._wire.splice([signatures, *values])

    def _new_forms(self, names: tuple[bytes, ...]) -> Sequence["_Form"]:
        """Which fields a mail has differs hardly ever: this is needed about once per message."""
        forms = [_form(signer, names, self._signed_at) for signer in self._signers]
        self._forms[names] = forms
        return forms


@dataclass(frozen=True, slots=True)
class CanonicalFields:
    """The signed ones of some header fields, the last one first.

    Attributes:
        canonical: the fields as they are hashed, each ending with CRLF.
    """

    names: Sequence[bytes]
    canonical: bytes


def canonical_fields(block: bytes) -> CanonicalFields:
    """Whole header fields in relaxed form, those that are not signed left out."""
    names, canonical = [], []
    for one in reversed(_END_OF_FIELD.split(block)):
        name, relaxed_field = _relaxed_field(one)
        if name in _SIGNED:
            names.append(name)
            canonical.append(relaxed_field)
    return CanonicalFields(names, b"".join(canonical))


def relaxed(body: bytes) -> bytes:
    """Some of a body in relaxed form (RFC 6376 section 3.4.4), no run of spaces being cut.

    What a body must not end with, empty lines, our bodies do not end with.
    """
    return _RUN.sub(b" ", _RUN_AT_LINE_END.sub(b"", body))


def _relaxed_value(value: bytes) -> bytes:
    """Most values have nothing to reduce; a soft line break comes behind, so they end no line."""
    if b"  " in value or b"\t" in value or b" \r\n" in value:
        return relaxed(value)
    return value


def _relaxed_field(one: bytes) -> tuple[bytes, bytes]:
    """A field's name in lower case and the field (RFC 6376 section 3.4.2), with its CRLF.

    `split` takes more than spaces, tabs and line breaks, but no field of ours holds more.
    """
    name, _, value = one.partition(b":")
    name = name.rstrip().lower()
    return name, b"%b:%b\r\n" % (name, b" ".join(value.split()))


@dataclass(frozen=True, slots=True)
class _Form:
    """A DKIM-Signature field up to its two hashes, as it is written and as it is hashed."""

    signer: Signer
    written: bytes
    canonical: bytes

    def signature(self, canonical_fields: bytes, body_hash: bytes) -> bytes:
        signed = b"%b%b bh=%b; b=" % (canonical_fields, self.canonical, body_hash)
        value = b64encode(self.signer.sign(signed))
        lines = [value[start : start + _LINE] for start in range(0, len(value), _LINE)]
        return b"%b\r\n bh=%b;\r\n b=%b\r\n" % (self.written, body_hash, b"\r\n ".join(lines))


def _form(signer: Signer, names: Sequence[bytes], signed_at: datetime) -> _Form:
    tags = (
        f"v=1; a={algorithm_of(signer.key)}-sha256; c=relaxed/relaxed; d={signer.domain}; "
        f"s={signer.selector}; t={int(signed_at.timestamp())}; "
        f"h={': '.join([*(name.decode() for name in names), *SIGNED_FIELDS])};"
    )
    one = headers.structured(_NAME, tags).removesuffix(b"\r\n")
    return _Form(signer, one, _relaxed_field(one)[1].removesuffix(b"\r\n"))


def _halves(
    pieces: Sequence[bytes | Slot],
) -> tuple[Sequence[bytes | Slot], Sequence[bytes | Slot]]:
    """Header fields and body, cut at the empty line.

    The body's pieces can be canonicalised one by one: a slot stands behind a line break and
    before the `=` of a soft one, so no run of spaces crosses a border.
    """
    for number, piece in enumerate(pieces):
        if isinstance(piece, bytes) and b"\r\n\r\n" in piece:
            fields, _, rest = piece.partition(b"\r\n\r\n")
            body = [rest, *pieces[number + 1 :]]
            assert _borders_hold(body), "a slot does not stand between soft line breaks"
            return [*pieces[:number], fields], body
    raise AssertionError("a message has an empty line in its fixed bytes")


def _borders_hold(body: Sequence[bytes | Slot]) -> bool:
    last = body[-1]
    if isinstance(last, Slot) or not last.endswith(b"\r\n") or last.endswith(b"\n\r\n"):
        return False
    return all(
        isinstance(before, bytes)
        and before.endswith(b"\n")
        and isinstance(after, bytes)
        and after.startswith(b"=")
        for before, slot, after in zip(body, body[1:], body[2:], strict=False)
        if isinstance(slot, Slot)
    )
