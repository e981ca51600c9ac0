"""Chunks of a file on their way in: lists found, bad rows kept, erased people left out."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from newsletter.core.clock import now
from newsletter.core.errors import InputError
from newsletter.core.sentences import say
from newsletter.mail.address import Address
from subscribers import suppressions
from subscribers.bad_rows import BadRows
from subscribers.bulk import take_turns
from subscribers.fates import Fate, Fates, Incoming
from subscribers.import_options import ImportOptions, ImportReport, Step
from subscribers.imported import (
    ImportedSubscriber,
    ImportedSubscription,
    ImportedSuppression,
)
from subscribers.intake import take_in
from subscribers.models import SubscriptionStatus, TrackingConsent
from subscribers.people_files import Bad, Good, PeopleFile, opened
from subscribers.repeats import Repeats
from subscribers.suppressions import SuppressionRow

_EXAMPLES = 3
_PROBLEMS = 5
"""Enough to see the pattern."""

Chunk = list[Good | Bad]


class Importing:
    """One import: its lists, its bad rows, and what it has come to so far."""

    def __init__(
        self,
        file: Path,
        people: PeopleFile,
        find_list: Callable[[Session], int] | None,
        options: ImportOptions,
        repeats: Repeats | None = None,
    ) -> None:
        self._people = people
        self._repeats = repeats
        self._find_list = find_list
        self._options = options
        self._folder = str(file).removesuffix(file.name)
        self._names: dict[str, str] = {}
        self._lists: dict[str, int] = {}
        self._refused: list[Bad] = []
        self._fates = Fates(_EXAMPLES if options.rehearse else 0)
        self._bad = (
            BadRows(people, options.bad_rows) if options.bad_rows and not options.rehearse else None
        )
        self.report = ImportReport(self._fates.counts, self._fates.added_as, self._fates.examples)

    def store(self, session: Session, chunk: Chunk) -> None:
        """In the session's transaction, with what the caller wants to be done in it."""
        self._refused = []
        if self._repeats or not self._options.rehearse:
            take_turns(session)
        if self._find_list and "" not in self._lists:
            self._lists[""] = self._find_list(session)
        erased = self._erased(session, chunk)
        incoming: list[Incoming] = []
        for row in chunk:
            if isinstance(row, Bad):
                is_erased = row.address is not None and row.address.key in erased
                self._refuse(row, is_erased=is_erased)
            else:
                incoming += self._incoming(session, row, erased)
        if self._repeats:
            incoming = self._repeats.new(incoming, len(chunk))
        take_in(session, incoming, self._fates)
        if not self._options.rehearse:
            step = Step(len(chunk), self._refused, self._people.bytes_read, self.report)
            self._options.with_each(session, step)

    def settle(
        self,
        transaction: Callable[[], AbstractContextManager[Session]],
        file: Path,
        look: Callable[[], None],
    ) -> None:
        """Of a rehearsal in pieces: rows meet those before them after all; `look` as there."""
        if self._repeats:
            again = self._again(transaction, file, look)
            self._repeats.settle(again, transaction, self._fates, look)

    def _again(
        self,
        transaction: Callable[[], AbstractContextManager[Session]],
        file: Path,
        look: Callable[[], None],
    ) -> Iterator[tuple[int, Incoming]]:
        """The file's rows once more, with the numbers of their pieces; erased people among them."""
        assert self._repeats
        with opened(file, self._options.reading) as people, transaction() as session:
            rows = people.rows()
            for number, size in enumerate(self._repeats.sizes):
                look()
                for row in islice(rows, size):
                    if isinstance(row, Good):
                        for incoming in self._incoming(session, row, set()):
                            yield number, incoming

    def close(self) -> None:
        if self._bad:
            self._bad.close()

    def _erased(self, session: Session, chunk: Chunk) -> set[str]:
        """Address keys; asked before anything of the chunk is stored."""
        if not self._options.erased:
            return set()
        addresses = [
            person.address for row in chunk if isinstance(row, Good) for person in row.people
        ]
        addresses += [row.address for row in chunk if isinstance(row, Bad) and row.address]
        return suppressions.erased_among(session, addresses, self._options.erased)

    def _incoming(self, session: Session, row: Good, erased: set[str]) -> Iterator[Incoming]:
        source = f"{self._short(row.file)}:{row.line}"
        for person in row.people:
            if person.address.key in erased:
                self._fates.counts[Fate.KEPT_ERASED] += 1
                continue
            try:
                yield self._placed(session, source, self._as_asked(person))
            except InputError as problem:
                raise InputError(f"{row.file}:{row.line}", problem.sentence) from None

    def _short(self, file: str) -> str:
        """Evidence names the file, not the operator's folders."""
        if file not in self._names:
            self._names[file] = file.removeprefix(self._folder)
        return self._names[file]

    def _as_asked(self, person: ImportedSubscriber) -> ImportedSubscriber:
        if self._options.tags:
            person = replace(person, attributes=_tagged(person.attributes, self._options.tags))
        if self._options.unconfirmed and person.subscription:
            return replace(person, subscription=_pending(person.subscription))
        return person

    def _placed(self, session: Session, source: str, person: ImportedSubscriber) -> Incoming:
        standing = person.subscription
        list_id = self._list(session, standing.list_name) if standing else None
        if not person.suppressions:
            return Incoming(source, person, list_id)
        suppressed = [
            row
            for each in person.suppressions
            for row in self._suppressions(session, source, person.address, each)
        ]
        return Incoming(source, person, list_id, suppressed)

    def _suppressions(
        self, session: Session, source: str, address: Address, asked: ImportedSuppression
    ) -> Iterator[SuppressionRow]:
        named = asked.list_name
        said_by, at = asked.source or f"import {source}", asked.at or now()
        for list_id in (self._list(session, named),) if named else self._options.suppressed_on:
            yield SuppressionRow(address.key, list_id, asked.reason, said_by, at)

    def _list(self, session: Session, name: str) -> int:
        """The list that a row names; for a row that names none, that of the whole import."""
        if name not in self._lists:
            if not name or not self._options.list_named:
                raise InputError("list", say("expected --list NAME, this row names none"))
            self._lists[name] = self._options.list_named(session, name)
        return self._lists[name]

    def _refuse(self, row: Bad, *, is_erased: bool) -> None:
        """Count a bad row and keep it for mending; of who was erased nothing is kept."""
        if is_erased:
            self._fates.counts[Fate.KEPT_ERASED] += 1
            return
        self._fates.counts[Fate.BAD] += 1
        self._refused.append(row)
        if len(self.report.first_problems) < _PROBLEMS:
            place = f"{row.file}:{row.line}"
            self.report.first_problems.append(InputError(place, row.problem.sentence).sentence)
        if self._bad:
            self._bad.add(row)
            self.report.bad_rows = self._bad.path


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
