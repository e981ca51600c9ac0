"""The tokens a mail carries in its links: typed payloads, minted and read back.

Each is bound to its purpose by `newsletter.core.tokens`; a flipped bit or another purpose reads
as None. The leave token names newsletter and person, so it works after the ledger is pruned.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

from newsletter.core.tokens import TokenKeys, sign, verify

_TRACKING = struct.Struct(">IQ")
_LEAVE = struct.Struct(">BIQIQ")
_CONFIRM = struct.Struct(">QII")


class Door(IntEnum):
    """Which unsubscribe link was used; a forwarded copy carries only the body's."""

    HEADER = 1
    BODY = 2


@dataclass(frozen=True, slots=True)
class TrackingToken:
    """What a pixel or click link says: the broadcast, and the delivery if it may be named."""

    broadcast_id: int
    delivery_id: int | None

    def mint(self, keys: TokenKeys) -> str:
        return mint_tracking(keys, self.broadcast_id, self.delivery_id)

    @classmethod
    def read(cls, keys: TokenKeys, token: str) -> "TrackingToken | None":
        payload = verify(keys, "tracking", token)
        if payload is None or len(payload) != _TRACKING.size:
            return None
        broadcast_id, delivery_id = _TRACKING.unpack(payload)
        return cls(broadcast_id, delivery_id or None)


@dataclass(frozen=True, slots=True)
class LeaveToken:
    """What an unsubscribe link says: who leaves which newsletter, and by which mail."""

    door: Door
    newsletter_id: int
    subscriber_id: int
    broadcast_id: int
    delivery_id: int

    def mint(self, keys: TokenKeys) -> str:
        return mint_leave(
            keys,
            self.door,
            self.newsletter_id,
            self.subscriber_id,
            self.broadcast_id,
            self.delivery_id,
        )

    @classmethod
    def read(cls, keys: TokenKeys, token: str) -> "LeaveToken | None":
        payload = verify(keys, "leave", token)
        if payload is None or len(payload) != _LEAVE.size:
            return None
        door, *numbers = _LEAVE.unpack(payload)
        return cls(Door(door), *numbers)


@dataclass(frozen=True, slots=True)
class ConfirmToken:
    """What a confirmation link says: who confirms which list, and until when (seconds of 1970).

    By person and list, not by subscription: ids of people are never given twice.
    """

    subscriber_id: int
    list_id: int
    until: int

    def mint(self, keys: TokenKeys) -> str:
        payload = _CONFIRM.pack(self.subscriber_id, self.list_id, self.until)
        return sign(keys, "confirm", payload)

    @classmethod
    def read(cls, keys: TokenKeys, token: str) -> "ConfirmToken | None":
        payload = verify(keys, "confirm", token)
        if payload is None or len(payload) != _CONFIRM.size:
            return None
        return cls(*_CONFIRM.unpack(payload))


def mint_tracking(keys: TokenKeys, broadcast_id: int, delivery_id: int | None) -> str:
    """As `TrackingToken(…).mint(keys)`, for each of a million messages."""
    return sign(keys, "tracking", _TRACKING.pack(broadcast_id, delivery_id or 0))


def mint_leave(keys: TokenKeys, door: Door, *numbers: int) -> str:
    """As `LeaveToken(door, *numbers).mint(keys)`, for each of a million messages."""
    return sign(keys, "leave", _LEAVE.pack(door, *numbers))
