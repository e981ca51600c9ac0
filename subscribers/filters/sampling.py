"""A share of all people, the same ones each time: arithmetic that both databases do alike."""

from hashlib import sha256
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, literal

from subscribers.filters.tree import HUNDREDTHS, Sample

_PRIME = 2**31 - 1


def is_sampled(subscriber_id: Any, sample: Sample) -> ColumnElement[bool]:
    """A polynomial of the id over a prime field, within 64 bits; its numbers come from the seed."""
    first, shift, second = (literal(number, BigInteger) for number in _numbers(sample.seed))
    prime = literal(_PRIME, BigInteger)
    scattered = (subscriber_id % prime * first + shift) % prime
    mixed = (scattered * scattered % prime * second + scattered) % prime
    share: ColumnElement[bool] = mixed % literal(HUNDREDTHS, BigInteger) < sample.hundredths
    return share


def _numbers(seed: str) -> tuple[int, int, int]:
    """Three numbers from 1 to below the prime."""
    digest = sha256(seed.encode()).digest()
    parts = (int.from_bytes(digest[at : at + 8]) for at in (0, 8, 16))
    first, shift, second = (1 + part % (_PRIME - 1) for part in parts)
    return first, shift, second
