"""The tokens a mail carries in its links: typed payloads, minted and read back.

Each is bound to its purpose by `newsletter.core.tokens`; a flipped bit or another purpose reads
as None. The leave token names newsletter and person, so it works after the ledger is pruned.
"""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from newsletter.core.tokens import TokenKeys, from_base32, sign, to_base32, verify

_TRACKING = struct.Struct(">IQ")
_LEAVE = struct.Struct(">BIQIQ")
_UNDO = struct.Struct(">IQIQQ")
_UNDO_BY = {False: "undo", True: "undo by letter"}
"""What an undo's token is signed for, by whether it is the owner's."""
_CONFIRM = struct.Struct(">QII")
_PREFERENCES = struct.Struct(">IQ")
_OWNER = struct.Struct(">IQQ")
_BY_MAIL_BYTES = 14
"""Newsletter (24 bits), subscriber (40), delivery (48): what a local part has room for."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

MAIL_TAG = "u"
"""Tells an address to leave by from other addresses with a token."""
MAIL_TOKEN_CHARACTERS = 46
"""The tag with its token."""


class Door(IntEnum):
    """Which unsubscribe link was used; a forwarded copy carries only the body's."""

    HEADER = 1
    BODY = 2
    MAIL = 3
    """The address in the header, for mail programs that write instead of asking a page."""


@dataclass(frozen=True, slots=True)
class TrackingToken:
    """What a pixel or click link says: the broadcast, and the delivery if it may be named."""

    broadcast_id: int
    delivery_id: int | None

    def mint(self, keys: TokenKeys) -> str:
        return mint_tracking(keys, self.broadcast_id, self.delivery_id)

    @classmethod
    def read(cls, keys: TokenKeys, token: str) -> "TrackingToken | None":
        said = _said(keys, "tracking", _TRACKING, token)
        if said is None:
            return None
        broadcast_id, delivery_id = said
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
        said = _said(keys, "leave", _LEAVE, token)
        if said is None:
            return None
        door, *numbers = said
        return cls(Door(door), *numbers)


@dataclass(frozen=True, slots=True)
class UndoToken:
    """What takes one leaving back: whose it was and by which mail, and its very moment.

    It is never in an issue: who left just now gets it, and the owner by letter. That of the letter
    is the owner's for certain, and holds though somebody leaves for them once more.
    """

    newsletter_id: int
    subscriber_id: int
    broadcast_id: int
    delivery_id: int
    left_at: datetime
    is_owners: bool = False

    def mint(self, keys: TokenKeys) -> str:
        payload = _UNDO.pack(
            self.newsletter_id,
            self.subscriber_id,
            self.broadcast_id,
            self.delivery_id,
            (self.left_at - _EPOCH) // _MICROSECOND,
        )
        return sign(keys, _UNDO_BY[self.is_owners], payload)

    @classmethod
    def read(cls, keys: TokenKeys, token: str) -> "UndoToken | None":
        for is_owners, purpose in _UNDO_BY.items():
            if said := _said(keys, purpose, _UNDO, token):
                newsletter, subscriber, broadcast, delivery, left_at = said
                moment = _EPOCH + left_at * _MICROSECOND
                return cls(newsletter, subscriber, broadcast, delivery, moment, is_owners)
        return None


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
        said = _said(keys, "confirm", _CONFIRM, token)
        return cls(*said) if said else None


@dataclass(frozen=True, slots=True)
class PreferencesToken:
    """What the preferences link of a mail says; whoever was forwarded the mail has it too."""

    newsletter_id: int
    subscriber_id: int

    def mint(self, keys: TokenKeys) -> str:
        return mint_preferences(keys, self.newsletter_id, self.subscriber_id)

    @classmethod
    def read(cls, keys: TokenKeys, token: str) -> "PreferencesToken | None":
        said = _said(keys, "preferences", _PREFERENCES, token)
        return cls(*said) if said else None


@dataclass(frozen=True, slots=True)
class OwnerToken:
    """What the link in a letter to its owner says: as the preferences link, and until when."""

    newsletter_id: int
    subscriber_id: int
    until: int
    """Seconds since 1970."""

    def mint(self, keys: TokenKeys) -> str:
        payload = _OWNER.pack(self.newsletter_id, self.subscriber_id, self.until)
        return sign(keys, "owner", payload)

    @classmethod
    def read(cls, keys: TokenKeys, token: str) -> "OwnerToken | None":
        said = _said(keys, "owner", _OWNER, token)
        return cls(*said) if said else None


@dataclass(frozen=True, slots=True)
class MailToken:
    """What an address to leave by says; lower-case base32, so that it survives every mail system.

    The broadcast is that of the delivery.
    """

    newsletter_id: int
    subscriber_id: int
    delivery_id: int

    def mint(self, keys: TokenKeys) -> str:
        """With its tag, `MAIL_TOKEN_CHARACTERS` long."""
        return mint_by_mail(keys, self.newsletter_id, self.subscriber_id, self.delivery_id)

    @classmethod
    def read(cls, keys: TokenKeys, text: str) -> "MailToken | None":
        payload = verify(keys, "mail", from_base32(text.lower().removeprefix(MAIL_TAG)))
        if payload is None or len(payload) != _BY_MAIL_BYTES:
            return None
        number = int.from_bytes(payload)
        return cls(number >> 88, number >> 48 & (1 << 40) - 1, number & (1 << 48) - 1)


def _said(keys: TokenKeys, purpose: str, form: struct.Struct, token: str) -> tuple[int, ...] | None:
    """The fields of a token of ours for this purpose; None for anything else."""
    payload = verify(keys, purpose, token)
    return form.unpack(payload) if payload is not None and len(payload) == form.size else None


def mint_tracking(keys: TokenKeys, broadcast_id: int, delivery_id: int | None) -> str:
    """As `TrackingToken(…).mint(keys)`, for each of a million messages."""
    return sign(keys, "tracking", _TRACKING.pack(broadcast_id, delivery_id or 0))


def mint_leave(keys: TokenKeys, door: Door, *numbers: int) -> str:
    """As `LeaveToken(door, *numbers).mint(keys)`, for each of a million messages."""
    return sign(keys, "leave", _LEAVE.pack(door, *numbers))


def mint_preferences(keys: TokenKeys, newsletter_id: int, subscriber_id: int) -> str:
    """As `PreferencesToken(…).mint(keys)`, for each of a million messages."""
    return sign(keys, "preferences", _PREFERENCES.pack(newsletter_id, subscriber_id))


def mint_by_mail(keys: TokenKeys, newsletter_id: int, subscriber_id: int, delivery_id: int) -> str:
    """As `MailToken(…).mint(keys)`, for each of a million messages."""
    number = newsletter_id << 88 | subscriber_id << 48 | delivery_id
    return MAIL_TAG + to_base32(sign(keys, "mail", number.to_bytes(_BY_MAIL_BYTES)))
