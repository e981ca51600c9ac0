"""DKIM keys: read, made, and shown as the DNS record that verifies them (RFC 6376, 8463)."""

from base64 import b64encode
from collections.abc import Sequence
from enum import StrEnum
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from newsletter.core.errors import InputError
from newsletter.core.sentences import say

PrivateKey: TypeAlias = RSAPrivateKey | Ed25519PrivateKey

RECOMMENDED_RSA_BITS = 2048
_RSA_BITS = range(1024, 4096 + 1)
"""What every verifier takes (RFC 8301 section 3.2); shorter ones prove nothing any more."""
_STRING_CHARACTERS = 255
"""The most that one string of a TXT record holds (RFC 1035 section 3.3)."""


class DkimKeyError(InputError):
    """Something that is not a private key we can sign with; never shows what was read."""


class Algorithm(StrEnum):
    """The `k=` of a key's record."""

    RSA = "rsa"
    ED25519 = "ed25519"


def read(pem: bytes, *, place: str) -> PrivateKey:
    """A private key from PEM, PKCS #8 or the older RSA form, without a passphrase.

    Raises:
        DkimKeyError: names `place` and what was expected.
    """
    expected = say("expected a private key in PEM form, RSA or Ed25519, without a passphrase")
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise DkimKeyError(place, expected) from None
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        raise DkimKeyError(place, expected)
    if isinstance(key, RSAPrivateKey) and key.key_size not in _RSA_BITS:
        raise DkimKeyError(
            place,
            say(
                "an RSA key of %(bits)s bits: expected 2048, at least 1024, at most 4096",
                bits=key.key_size,
            ),
        )
    return key


def make(algorithm: Algorithm) -> PrivateKey:
    """A new private key; RSA with 2048 bits."""
    if algorithm is Algorithm.ED25519:
        return Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=RECOMMENDED_RSA_BITS)


def written(key: PrivateKey) -> bytes:
    """The private key as PEM (PKCS #8), as `read` takes it."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def algorithm_of(key: PrivateKey) -> Algorithm:
    return Algorithm.RSA if isinstance(key, RSAPrivateKey) else Algorithm.ED25519


def is_short(key: PrivateKey) -> bool:
    """Signs, but is shorter than RFC 8301 wants a signer's key to be."""
    return isinstance(key, RSAPrivateKey) and key.key_size < RECOMMENDED_RSA_BITS


def record_name(domain: str, selector: str) -> str:
    """Where verifiers look the key up."""
    return f"{selector}._domainkey.{domain}"


def record(key: PrivateKey) -> str:
    """The content of the TXT record, in one string."""
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        encoding = serialization.Encoding.DER
        published = public.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    else:
        published = public.public_bytes_raw()
    return f"v=DKIM1; k={algorithm_of(key)}; p={b64encode(published).decode()}"


def record_strings(key: PrivateKey) -> Sequence[str]:
    """The content of the TXT record, cut as DNS wants it; verifiers join the strings again."""
    content = record(key)
    return [
        content[start : start + _STRING_CHARACTERS]
        for start in range(0, len(content), _STRING_CHARACTERS)
    ]
