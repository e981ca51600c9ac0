"""Signed tokens: one base64url string of fixed-width fields, bound to a purpose.

Layout: version (1 byte), key id (1 byte), payload, MAC (12 bytes, HMAC-SHA256 truncated to 96
bits as RFC 2104 section 5 allows). The purpose is mixed into the key, so a token made for one
purpose never verifies for another. Old keys only verify.
"""

import hmac
from base64 import b32decode, urlsafe_b64decode, urlsafe_b64encode
from binascii import b2a_base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256

VERSION = 1
MAC_BYTES = 12
_HEADER_BYTES = 2
_LONGEST_TOKEN = 256
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [first + second for first in _BASE32 for second in _BASE32]
"""Ten bits at a time: the library's base32 costs several times as much, once per message."""

_BLOCK_BYTES = 64
_INNER, _OUTER = bytes(n ^ 0x36 for n in range(256)), bytes(n ^ 0x5C for n in range(256))


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """The key that signs, and the older keys that still verify."""

    current: bytes = field(repr=False)
    old: tuple[bytes, ...] = field(default=(), repr=False)

    @classmethod
    def from_secrets(cls, current: str, old: Sequence[str] = ()) -> "TokenKeys":
        """Keys from configured text of any length."""
        return cls(_digest(current), tuple(_digest(key) for key in old))


def sign(keys: TokenKeys, purpose: str, payload: bytes) -> str:
    """A token that carries `payload` in the open and proves that we made it for `purpose`."""
    return _signer(keys.current, purpose)(payload)


def verify(keys: TokenKeys, purpose: str, token: str) -> bytes | None:
    """The payload of a token made by `sign` for the same purpose, or None for anything else."""
    raw = _decode(token)
    if raw is None or raw[0] != VERSION:
        return None
    body, mac = raw[:-MAC_BYTES], raw[-MAC_BYTES:]
    for key in (keys.current, *keys.old):
        if key[0] != raw[1]:
            continue
        expected = hmac.digest(_purpose_key(key, purpose), body, "sha256")[:MAC_BYTES]
        if hmac.compare_digest(mac, expected):
            return body[_HEADER_BYTES:]
    return None


def to_base32(token: str) -> str:
    """The same token where letter case may be lost on the way, such as in an address."""
    raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    characters = -(-len(raw) * 8 // 5)
    pairs = -(-characters // 2)
    number = int.from_bytes(raw) << (pairs * 10 - len(raw) * 8)
    return "".join([_PAIRS[number >> n & 0x3FF] for n in range(pairs * 10 - 10, -1, -10)])[
        :characters
    ]


def from_base32(text: str) -> str:
    """The token of which `to_base32` made this; of anything else what no key verifies."""
    try:
        raw = b32decode(text.upper() + "=" * (-len(text) % 8))
    except ValueError:
        return ""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(token: str) -> bytes | None:
    """The bytes of the one canonical spelling of a token; every other spelling is refused."""
    if len(token) > _LONGEST_TOKEN:
        return None
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        return None
    canonical = urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
    return raw if canonical == token and len(raw) >= _HEADER_BYTES + MAC_BYTES else None


@lru_cache(maxsize=256)
def _signer(key: bytes, purpose: str) -> Callable[[bytes], str]:
    """What `sign` does with one key for one purpose.

    Every message carries several tokens, so HMAC (RFC 2104) starts from hashes that have taken in
    the key already: a third of what `hmac.digest` costs.
    """
    padded = _purpose_key(key, purpose).ljust(_BLOCK_BYTES, b"\0")
    header = bytes((VERSION, key[0]))
    inner, outer = sha256(padded.translate(_INNER)), sha256(padded.translate(_OUTER))

    def signed(payload: bytes) -> str:
        body = header + payload
        within, mac = inner.copy(), outer.copy()
        within.update(body)
        mac.update(within.digest())
        raw = b2a_base64(body + mac.digest()[:MAC_BYTES], newline=False)
        return raw.translate(_URL_SAFE, b"=").decode()

    return signed


@lru_cache(maxsize=256)
def _purpose_key(key: bytes, purpose: str) -> bytes:
    return hmac.digest(key, b"newsletter token: " + purpose.encode(), "sha256")


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()
