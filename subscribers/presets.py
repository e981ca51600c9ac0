"""How each system writes its subscribers: a header it is known by, and how a row becomes ours."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parseaddr
from typing import Any

from newsletter.core.errors import InputError
from newsletter.mail.address import Address
from subscribers.models import SubscriptionStatus, TrackingConsent


@dataclass(frozen=True, slots=True)
class ImportedSubscriber:
    """One row, understood.

    Attributes:
        subscribed_at: None when the file does not say.
        evidence: the file's own words on how consent was given.
    """

    address: Address
    name: str = ""
    locale: str = ""
    time_zone: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    status: SubscriptionStatus = SubscriptionStatus.ACTIVE
    tracking_consent: TrackingConsent = TrackingConsent.UNKNOWN
    subscribed_at: datetime | None = None
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Preset:
    """One system's files.

    Attributes:
        known_by: columns that only this system's files have; all must be there.
        read: a row's cells by normalised header -> ImportedSubscriber, or InputError.
    """

    name: str
    known_by: frozenset[str]
    read: Callable[[Mapping[str, str]], ImportedSubscriber]


OWN_COLUMNS = (
    "email",
    "name",
    "locale",
    "time_zone",
    "attributes",
    "status",
    "tracking_consent",
    "subscribed_at",
    "evidence",
)


def recognise(header: tuple[str, ...], place: str) -> Preset:
    """The preset whose columns the header has.

    Raises:
        InputError: none fits; the error names the columns that were expected.
    """
    for preset in PRESETS:
        if preset.known_by <= set(header):
            return preset
    raise InputError(
        place, f"expected a column `email`, found {', '.join(filter(None, header)) or 'nothing'}"
    )


def _read_own(cells: Mapping[str, str]) -> ImportedSubscriber:
    shown_name, address = parseaddr(cells["email"]) if "<" in cells["email"] else ("", "")
    return ImportedSubscriber(
        address=Address.parse(address or cells["email"], place="email"),
        name=(cells.get("name") or shown_name)[:200],
        locale=cells.get("locale", "")[:35],
        time_zone=cells.get("time_zone", "")[:64],
        attributes=_json_object(cells.get("attributes", "")),
        status=SubscriptionStatus(
            _one_of("status", cells.get("status") or "active", SubscriptionStatus)
        ),
        tracking_consent=TrackingConsent(
            _one_of("tracking_consent", cells.get("tracking_consent") or "unknown", TrackingConsent)
        ),
        subscribed_at=_time("subscribed_at", cells.get("subscribed_at", "")),
        evidence=cells.get("evidence", ""),
    )


PRESETS: tuple[Preset, ...] = (Preset("own", frozenset({"email"}), _read_own),)
"""The most telling first: the own format is known by `email` alone."""


def _one_of(
    column: str, text: str, values: type[SubscriptionStatus] | type[TrackingConsent]
) -> str:
    known = [value.value for value in values]
    if text.lower() not in known:
        raise InputError(column, f"expected one of {', '.join(known)}, found {text!r}")
    return text.lower()


def _json_object(text: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        value = json.loads(text)
        # What JSON cannot say (1e999 is read as infinity) and UTF-8 cannot (half a character).
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or "\\u0000" in text:
        raise InputError("attributes", 'expected a JSON object, such as {"plan": "pro"}')
    return value


def _time(column: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InputError(
            column, f"expected a time such as 2026-06-17T08:00:00+00:00, found {text!r}"
        ) from None
