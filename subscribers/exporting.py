"""Export people in our own formats: the file imports again to the same state."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Select, String, func, select
from sqlalchemy.orm import Session

from newsletter.core.given_rows import any_of
from subscribers.elsewhere import elsewhere
from subscribers.files.whole_files import CsvWriter, JsonLinesWriter, csv_line, json_line
from subscribers.imports.presets.own import EXPORTED
from subscribers.models import (
    EVERYWHERE,
    ConsentEvent,
    Subscriber,
    SubscriberList,
    Subscription,
    SubscriptionStatus,
    Suppression,
)

_BATCH_ROWS = 1_000
_ACTIVE_FIRST = Subscription.status != SubscriptionStatus.ACTIVE
"""Read again, a row that says they left would close the newsletter's other lists to them."""


class Form(StrEnum):
    """How an export is written."""

    CSV = "csv"
    """A row for each subscription."""
    JSONL = "jsonl"
    """A line for each person, a JSON object with all their subscriptions."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Whom to export.

    Attributes:
        list_id: those on this list; None: everybody, with the names of their lists.
        where: only those of them for whom this holds, a condition on Subscriber and Subscription.
        among: those on one of these lists, with their names; of other lists nothing is said.
        told_to: the newsletter that the file is for: of people whom another one knows too it has
            the address and how they stand, nothing else.
    """

    list_id: int | None = None
    where: ColumnElement[bool] | None = None
    among: tuple[int, ...] | None = None
    told_to: int | None = None

    @property
    def lists(self) -> tuple[int, ...] | None:
        """All that may be spoken of; None: every list."""
        return self.among if self.list_id is None else (self.list_id,)


def export(
    session: Session,
    chosen: Selection,
    file: Path,
    form: Form = Form.CSV,
    progress: Callable[[int], None] = lambda _rows: None,
) -> int:
    """Write everybody chosen, whatever their status, to `file`; returns how many rows.

    `progress` gets the subscriptions written so far, now and then.

    Raises:
        InputError: no file can be written there; one that was there before is untouched.
    """
    written = _as_csv if form is Form.CSV else _as_json_lines
    return written(file, chosen, chain.from_iterable(_batches(session, chosen, progress)))


def stream(session: Session, chosen: Selection, form: Form) -> Iterator[str]:
    """The same file, a few people at a time; the transaction stays open until the last."""
    standings = chain.from_iterable(_batches(session, chosen, lambda _rows: None))
    if form is Form.JSONL:
        for value, _ in _json_values(chosen, standings):
            yield json_line(value)
        return
    columns = _columns(chosen)
    yield csv_line(columns)
    for standing in standings:
        yield csv_line(_cells(columns, standing))


def count_rows(session: Session, chosen: Selection) -> int:
    """How many subscriptions, and people without any, an export has."""
    return session.scalar(select(func.count()).select_from(_rows(chosen).subquery())) or 0


@dataclass(frozen=True, slots=True)
class _Standing:
    """One row of the database, and what else is known about its person: rows as well.

    Attributes:
        tells_all: also what is kept once for all newsletters.
    """

    row: Any
    lists: Mapping[int, str]
    events: Sequence[Any]
    suppressions: Sequence[Any]
    tells_all: bool

    def person(self) -> dict[str, Any]:
        """In the order of our columns, times as they are."""
        row = self.row
        suppressed = [self._suppression(each) for each in self.suppressions]
        if not self.tells_all:
            return {"email": row.email, "suppressed": suppressed}
        return {
            "email": row.email,
            "name": row.name,
            "locale": row.locale,
            "time_zone": row.time_zone,
            "attributes": row.attributes,
            "created_at": row.created_at,
            "suppressed": suppressed,
        }

    def subscription(self) -> dict[str, Any]:
        """Empty for somebody on no list."""
        row = self.row
        if row.list_id is None:
            return {}
        return {
            "list": self.lists[row.list_id],
            "status": row.status.value,
            "tracking_consent": row.tracking_consent.value,
            "subscribed_at": row.subscribed_at,
            "confirmed_at": row.confirmed_at,
            "unsubscribed_at": row.unsubscribed_at,
            "paused_until": row.paused_until,
            "evidence": self.events[0].wording if self.events else "",
            "history": [_event(each) for each in self.events],
            "answers": row.answers,
        }

    def _suppression(self, found: Any) -> dict[str, Any]:
        where = self.lists.get(found.list_id, "")
        said = {"reason": found.reason.value, "list": where, "source": found.source}
        return {name: text for name, text in said.items() if text} | {"at": found.created_at}


def _as_csv(file: Path, chosen: Selection, standings: Iterable[_Standing]) -> int:
    columns = _columns(chosen)
    count = 0
    with CsvWriter(file, columns) as writer:
        for standing in standings:
            count += 1
            writer.write(_cells(columns, standing))
    return count


def _columns(chosen: Selection) -> tuple[str, ...]:
    return EXPORTED if chosen.list_id is None else EXPORTED[1:]


def _cells(columns: Sequence[str], standing: _Standing) -> list[str]:
    values = standing.person() | standing.subscription()
    return [_cell(values.get(column)) for column in columns]


def _as_json_lines(file: Path, chosen: Selection, standings: Iterable[_Standing]) -> int:
    count = 0
    with JsonLinesWriter(file) as writer:
        for value, rows in _json_values(chosen, standings):
            count += rows
            writer.write(value)
    return count


def _json_values(
    chosen: Selection, standings: Iterable[_Standing]
) -> Iterator[tuple[dict[str, Any], int]]:
    """Each person with all their subscriptions, and how many rows that was."""
    for _, of_person in groupby(standings, key=lambda standing: standing.row.id):
        rows = list(of_person)
        subscriptions = [found for row in rows if (found := row.subscription())]
        if chosen.list_id is not None:
            for subscription in subscriptions:
                del subscription["list"]
        yield _plain({**rows[0].person(), "subscriptions": subscriptions}), len(rows)


def _rows(chosen: Selection) -> Select[Any]:
    """A row for each subscription; everybody chosen also has one for people without any."""
    everybody = chosen.lists is None
    rows = select(
        *(Subscriber.id, Subscriber.email, Subscriber.address_key, Subscriber.name),
        *(Subscriber.locale, Subscriber.time_zone, Subscriber.attributes, Subscriber.created_at),
        *(Subscription.list_id, Subscription.status, Subscription.tracking_consent),
        *(Subscription.subscribed_at, Subscription.confirmed_at),
        *(Subscription.unsubscribed_at, Subscription.paused_until, Subscription.answers),
    ).join(Subscription, Subscription.subscriber_id == Subscriber.id, isouter=everybody)
    if chosen.lists is not None:
        rows = rows.where(Subscription.list_id.in_(chosen.lists))
    return rows if chosen.where is None else rows.where(chosen.where)


def _batches(
    session: Session, chosen: Selection, progress: Callable[[int], None]
) -> Iterator[list[_Standing]]:
    lists = dict(session.execute(select(SubscriberList.id, SubscriberList.slug)).all())
    found = session.execute(
        _rows(chosen).order_by(Subscriber.id, _ACTIVE_FIRST, Subscription.id),
        execution_options={"yield_per": _BATCH_ROWS},
    )
    count = 0
    for batch in found.partitions():
        events = _events(session, chosen, [row.id for row in batch])
        suppressions = _suppressions(session, chosen, [row.address_key for row in batch])
        known_elsewhere = _known_elsewhere(session, chosen, [row.id for row in batch])
        yield [
            _Standing(
                row,
                lists,
                events.get((row.id, row.list_id), ()),
                suppressions.get(row.address_key, ()),
                row.id not in known_elsewhere,
            )
            for row in batch
        ]
        count += len(batch)
        progress(count)


def _known_elsewhere(session: Session, chosen: Selection, ids: Sequence[int]) -> set[int]:
    if chosen.told_to is None:
        return set()
    return elsewhere(session, ids, chosen.told_to)


def _events(
    session: Session, chosen: Selection, subscriber_ids: Sequence[int]
) -> dict[tuple[int, int], list[Any]]:
    """By person and list, in order."""
    rows = select(
        *(ConsentEvent.subscriber_id, ConsentEvent.list_id, ConsentEvent.change, ConsentEvent.at),
        *(ConsentEvent.method, ConsentEvent.source, ConsentEvent.form, ConsentEvent.ip),
        *(ConsentEvent.user_agent, ConsentEvent.wording),
        *(ConsentEvent.reason, ConsentEvent.remark),
    ).where(ConsentEvent.subscriber_id.in_(set(subscriber_ids)))
    if chosen.lists is not None:
        rows = rows.where(ConsentEvent.list_id.in_(chosen.lists))
    found: dict[tuple[int, int], list[Any]] = {}
    for row in session.execute(rows.order_by(ConsentEvent.id)):
        found.setdefault((row.subscriber_id, row.list_id), []).append(row)
    return found


def _suppressions(session: Session, chosen: Selection, keys: Sequence[str]) -> dict[str, list[Any]]:
    """By address: those of the address itself; a domain's are no property of a person."""
    asked = any_of(session.get_bind().dialect.name, "keys", String())
    rows = (
        select(
            *(Suppression.key, Suppression.list_id, Suppression.reason, Suppression.source),
            Suppression.created_at,
        )
        .join(asked, asked.c.value == Suppression.key)
        .order_by(Suppression.id)
    )
    if chosen.lists is not None:
        rows = rows.where(Suppression.list_id.in_((*chosen.lists, EVERYWHERE)))
    found: dict[str, list[Any]] = {}
    for row in session.execute(rows, {"keys": list(set(keys))}):
        found.setdefault(row.key, []).append(row)
    return found


def _event(event: Any) -> dict[str, Any]:
    words = ("method", "source", "form", "ip", "user_agent", "wording")
    said = {word: text for word in (*words, "reason", "remark") if (text := getattr(event, word))}
    return {"change": event.change.value, "at": event.at, **said}


def _cell(value: Any) -> str:
    if not value:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    return json.dumps(_plain(value), ensure_ascii=False, sort_keys=True)


def _plain(value: Any) -> Any:
    """The value as JSON has it: times as text."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value
