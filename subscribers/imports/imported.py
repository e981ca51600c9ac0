"""What files say about people, whichever system wrote them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from newsletter.mail.address import Address
from subscribers.evidence import Evidence
from subscribers.models import (
    ConsentChange,
    LeaveReason,
    SubscriptionStatus,
    SuppressionReason,
    TrackingConsent,
)


@dataclass(frozen=True, slots=True)
class ImportedEvent:
    """A line of evidence, kept as it was; `reason` and `remark` are of somebody who left."""

    change: ConsentChange
    at: datetime
    evidence: Evidence
    reason: LeaveReason | None = None
    remark: str = ""


@dataclass(frozen=True, slots=True)
class ImportedSuppression:
    """That the address must not be mailed.

    Attributes:
        list_name: the list it is about; empty: every list.
        source: who said so; empty: the file.
        at: None: the file does not say.
    """

    reason: SuppressionReason
    list_name: str = ""
    source: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ImportedSubscription:
    """One person's standing on one list.

    Attributes:
        list_name: empty when the file does not say.
        subscribed_at: None when the file does not say, as the other times.
        opt_in_at: when they agreed, by the other system's records.
        opt_in_ip: from where they agreed.
        confirm_ip: from where they confirmed, at `confirmed_at`.
        evidence: the file's own words on how consent was given.
        answers: what they typed into the sign-up form; becomes theirs once they confirm.
        history: all evidence there is, word for word; then nothing is made up from the above.
    """

    list_name: str = ""
    status: SubscriptionStatus = SubscriptionStatus.ACTIVE
    tracking_consent: TrackingConsent = TrackingConsent.UNKNOWN
    subscribed_at: datetime | None = None
    confirmed_at: datetime | None = None
    unsubscribed_at: datetime | None = None
    paused_until: datetime | None = None
    opt_in_at: datetime | None = None
    opt_in_ip: str = ""
    confirm_ip: str = ""
    evidence: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)
    history: tuple[ImportedEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportedSubscriber:
    """One person, understood.

    Attributes:
        subscription: None for somebody who is on no list.
        created_at: when they became known; None when the file does not say.
    """

    address: Address
    subscription: ImportedSubscription | None
    name: str = ""
    locale: str = ""
    time_zone: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None
    suppressions: tuple[ImportedSuppression, ...] = ()


Cells = Mapping[str, str]
"""A row's cells by normalised header."""


def _says_nothing(file_name: str) -> Cells:
    del file_name
    return {}


@dataclass(frozen=True, slots=True)
class Preset:
    """One system's files.

    Attributes:
        known_by: columns that only this system's files have; all of one of these sets are there.
        emails: where the address is: the first of these columns that the file has.
        read: a row -> ImportedSubscriber, or InputError whose place is the column.
        needs: columns without which such a file would be misunderstood.
        understood: columns whose meaning is known; any other is an attribute, unless it may say
            who left.
        from_name: cells that the file's name stands for.
    """

    name: str
    known_by: tuple[frozenset[str], ...]
    emails: tuple[str, ...]
    read: Callable[[Cells], ImportedSubscriber]
    understood: frozenset[str]
    needs: frozenset[str] = frozenset()
    from_name: Callable[[str], Cells] = _says_nothing
