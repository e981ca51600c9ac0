"""Rows of a file, made ready for the tables: plain values, which another process may have made."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from newsletter.core.clock import now
from subscribers.files.people_files import Bad, PeopleFile, Reading
from subscribers.imports.bulk import Values, as_json, time_for
from subscribers.imports.imported import (
    ImportedSubscriber,
    ImportedSubscription,
    ImportedSuppression,
)
from subscribers.models import ConsentChange, SubscriptionStatus, TrackingConsent

STATEMENTS = {
    SubscriptionStatus.ACTIVE: "The operator states that these people agreed to be mailed.",
    SubscriptionStatus.PENDING: "The file says that they asked and have not confirmed.",
    SubscriptionStatus.UNSUBSCRIBED: "The file says that they left.",
}
"""What evidence says where the file has no words of its own."""
OF_TRACKING = {
    TrackingConsent.GRANTED: (
        ConsentChange.TRACKING_GRANTED,
        "The file says that they agreed to be measured.",
    ),
    TrackingConsent.DENIED: (
        ConsentChange.TRACKING_DENIED,
        "The file says that they refused to be measured.",
    ),
}


class Ready(NamedTuple):
    """One person's row about one list.

    Attributes:
        source: the file and line it stands in, without the operator's folders.
        key: that of the address.
        person: as `bulk.PEOPLE` has them.
        list_name: None for somebody who is on no list, empty when the file does not say.
        subscription: as `bulk.SUBSCRIPTIONS` has them behind the list's id; none without a list.
        events: each as `bulk.EVENTS` has them behind the list's id.
        evidence: the file's own words on how consent was given.
    """

    source: str
    key: str
    person: Values
    list_name: str | None = None
    subscription: Values = ()
    events: Sequence[Values] = ()
    evidence: str = ""
    suppressions: Sequence[ImportedSuppression] = ()

    @property
    def typed(self) -> str:
        """The address as its owner writes it."""
        return str(self.person[0])

    @property
    def domain(self) -> str:
        return str(self.person[2])

    @property
    def status(self) -> str:
        """A SubscriptionStatus; empty without a list."""
        return self.subscription[0] if self.subscription else ""

    @property
    def tracking_consent(self) -> str:
        """A TrackingConsent; empty without a list."""
        return self.subscription[1] if self.subscription else ""

    @property
    def left_at(self) -> str | None:
        """As the database has it."""
        return self.subscription[4] if self.subscription else None


Row = Bad | tuple[Ready, ...]
"""A row or line of a file: bad, or one person, once for each of their subscriptions."""


@dataclass(frozen=True, slots=True)
class Making:
    """How rows are made ready.

    Attributes:
        dialect: of the database whose tables they are for.
        folder: what the names of files begin with; evidence names the file alone.
        unconfirmed: active rows become pending, their owners still have to confirm.
        tags: words for the attribute `tags` of everybody.
    """

    reading: Reading
    dialect: str
    folder: str
    unconfirmed: bool = False
    tags: tuple[str, ...] = ()

    def rows(self, people: PeopleFile) -> Iterator[Row]:
        """Every row of the file in order; raises as `PeopleFile.rows` does."""
        values = _ValuesOf(self.dialect)
        for row in people.rows():
            if isinstance(row, Bad):
                yield row
                continue
            source = f"{row.file.removeprefix(self.folder)}:{row.line}"
            yield tuple([values.ready(source, self._as_asked(person)) for person in row.people])

    def _as_asked(self, person: ImportedSubscriber) -> ImportedSubscriber:
        if self.tags:
            person = replace(person, attributes=_tagged(person.attributes, self.tags))
        if self.unconfirmed and person.subscription:
            return replace(person, subscription=_pending(person.subscription))
        return person


def _tagged(attributes: Mapping[str, Any], tags: tuple[str, ...]) -> dict[str, Any]:
    """With these tags behind those of the file."""
    there = attributes.get("tags", [])
    own = there if isinstance(there, list) else [there]
    return {**attributes, "tags": list(dict.fromkeys([*own, *tags]))}


def _pending(standing: ImportedSubscription) -> ImportedSubscription:
    """Their owner still has to confirm; what the file says of consent is not taken for it."""
    if standing.tracking_consent is TrackingConsent.GRANTED:
        standing = replace(standing, tracking_consent=TrackingConsent.UNKNOWN)
    if standing.status is not SubscriptionStatus.ACTIVE:
        return standing
    pending = SubscriptionStatus.PENDING
    return replace(standing, status=pending, confirmed_at=None, history=())


class _ValuesOf:
    """People as values for one kind of database."""

    def __init__(self, dialect: str) -> None:
        self._said = time_for(dialect)

    def ready(self, source: str, person: ImportedSubscriber) -> Ready:
        standing = person.subscription
        if standing is None:
            return Ready(
                source,
                person.address.key,
                self._person(person),
                suppressions=person.suppressions,
            )
        return Ready(
            source,
            person.address.key,
            self._person(person),
            standing.list_name,
            self._subscription(standing),
            self._events(source, standing),
            standing.evidence,
            person.suppressions,
        )

    def _person(self, person: ImportedSubscriber) -> Values:
        address = person.address
        return (
            *(address.typed, address.key, address.domain),
            *(person.name, person.locale, person.time_zone, as_json(person.attributes)),
            self._time(person.created_at),
        )

    def _subscription(self, standing: ImportedSubscription) -> Values:
        said = self._said
        return (
            *(standing.status.value, standing.tracking_consent.value),
            self._time(standing.subscribed_at),
            said(standing.confirmed_at),
            self._left_at(standing),
            said(standing.paused_until),
            as_json(standing.answers),
        )

    def _events(self, source: str, standing: ImportedSubscription) -> Sequence[Values]:
        if standing.history:
            return [*self._as_it_was(standing)]
        return [
            (
                *(change.value, self._time(at), "import", source[:300], "", ip[:45], ""),
                *(standing.evidence or wording, None, ""),
            )
            for change, at, ip, wording in _changes(standing)
        ]

    def _as_it_was(self, standing: ImportedSubscription) -> Iterator[Values]:
        for event in standing.history:
            columns = event.evidence.to_columns()
            words = ("method", "source", "form", "ip", "user_agent", "wording")
            said = (columns[word] for word in words)
            reason = event.reason.value if event.reason else None
            yield (event.change.value, self._time(event.at), *said, reason, event.remark)

    def _left_at(self, standing: ImportedSubscription) -> str | None:
        """Also of whoever came back: when they had left before."""
        if standing.status is SubscriptionStatus.UNSUBSCRIBED:
            return self._time(standing.unsubscribed_at)
        return self._said(standing.unsubscribed_at)

    def _time(self, moment: datetime | None) -> str | None:
        """A value for the database; what the file does not say is now."""
        return self._said(moment or now())


def _changes(
    standing: ImportedSubscription,
) -> Iterator[tuple[ConsentChange, datetime | None, str, str]]:
    """(change, when if the file says, IP address, wording): how it came to stand as it does."""
    left = standing.status is SubscriptionStatus.UNSUBSCRIBED
    wording = STATEMENTS[standing.status]
    is_pending = standing.status is SubscriptionStatus.PENDING
    confirmed = standing.confirmed_at or (standing.confirm_ip and not is_pending)
    if is_pending and standing.unsubscribed_at:  # and was asked for anew
        said = STATEMENTS[SubscriptionStatus.UNSUBSCRIBED]
        yield ConsentChange.UNSUBSCRIBED, standing.unsubscribed_at, "", said
    if standing.opt_in_at or standing.opt_in_ip or not (left or confirmed):
        change = ConsentChange.REQUESTED if is_pending or confirmed else ConsentChange.SUBSCRIBED
        yield change, standing.opt_in_at, standing.opt_in_ip, wording
    if confirmed:
        yield ConsentChange.CONFIRMED, standing.confirmed_at, standing.confirm_ip, wording
    if left:
        yield ConsentChange.UNSUBSCRIBED, standing.unsubscribed_at, "", wording
    if standing.tracking_consent in OF_TRACKING:
        change, wording = OF_TRACKING[standing.tracking_consent]
        yield change, None, "", wording
