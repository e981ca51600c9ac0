"""Rows of imports that are kept for a while: bad ones to be mended, examples of a rehearsal."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, delete, func, or_, select
from sqlalchemy.orm import Session

from newsletter.core.erasure_key import ErasureKey
from newsletter.mail.address import Address, AddressError
from subscribers.files.people_files import Bad
from subscribers.files.whole_files import csv_line
from subscribers.imports.bad_rows import with_error
from subscribers.imports.bulk import take_turns
from subscribers.imports.fates import Fate
from subscribers.imports.options import ImportReport
from subscribers.imports.runs.looking import Glance
from subscribers.imports.runs.models import OVER, ImportLine, ImportRun
from subscribers.suppressions import erased_among

MAX_BAD_ROWS = 100_000
"""Of one import; whoever has more has the wrong file."""
_PAGE_ROWS = 1_000
_ERROR = "error"


def keep_bad(session: Session, run_id: int, rows: Iterable[Bad], folder: str) -> None:
    """Bad rows of an import, in the transaction in which the rows between them are stored."""
    for row in rows:
        place = f"{row.file.removeprefix(folder)}:{row.line}"
        key = row.address.key if row.address else ""
        more = {"cells": dict(row.cells), "text": row.text, "problem": row.problem.sentence}
        session.add(_line(run_id, Fate.BAD, place, key, **more))


def keep_examples(
    session: Session, run_id: int, report: ImportReport, folder: str, erased: ErasureKey | None
) -> None:
    """A few rows of each fate; of nobody who was erased since they were read."""
    take_turns(session)  # with who erases
    shown = [
        (fate, *example.rpartition(" ")[::2])
        for fate, examples in report.examples.items()
        for example in examples
    ]
    keys = {text: _key(text) for _, _, text in shown}
    forgotten = erased_among(session, filter(None, keys.values()), erased)
    for fate, place, text in shown:
        key = keys[text]
        if key not in forgotten:
            session.add(_line(run_id, fate, place, key, text=text))
    for problem in report.first_problems:
        place, said = str(problem.values["place"]), problem.values["problem"]
        session.add(_line(run_id, Fate.BAD, place.removeprefix(folder), problem=said))


def _line(run_id: int, fate: Fate, place: str, key: str = "", **more: Any) -> ImportLine:
    told = {"cells": {}, "text": "", "problem": "", **more}
    return ImportLine(run_id=run_id, fate=fate, place=place[-300:], address_key=key, **told)


def lines_of(session: Session, run_id: int, fate: Fate, most: int = 10) -> Sequence[ImportLine]:
    """The first rows of an import with this fate."""
    wanted = select(ImportLine).where(ImportLine.run_id == run_id, ImportLine.fate == fate)
    return session.scalars(wanted.order_by(ImportLine.id).limit(most)).all()


def bad_rows(session: Session, run: ImportRun) -> Iterator[str]:
    """The bad rows as the text of a file that imports once they are mended."""
    if not run.header:
        for line in _bad(session, run.id):
            yield with_error(line.text, line.problem) + "\n"
        return
    columns = {key: written for key, written in run.header if key != _ERROR}
    yield csv_line([*columns.values(), _ERROR])
    for line in _bad(session, run.id):
        cells = [line.cells.get(key, "") for key in columns]
        yield csv_line([*cells, line.problem])


def forget(session: Session, address: Address) -> None:
    """Of somebody who is erased no row is kept, and no waiting file's first rows are shown."""
    session.execute(
        delete(ImportLine).where(of_person(address)).execution_options(synchronize_session=False)
    )
    for run in session.scalars(select(ImportRun).where(ImportRun.state.not_in(OVER))):
        if any(_names(address, example) for example in Glance.from_json(run.glance).examples):
            run.glance = Glance.from_json(run.glance).without_examples().to_json()


def of_person(address: Address) -> ColumnElement[bool]:
    """Rows that are about them, or quote them."""
    quoted = (
        func.lower(cast(column, Text)).contains(spelling, autoescape=True)
        for column in (ImportLine.text, ImportLine.problem, ImportLine.cells)
        for spelling in _spellings(address)
    )
    return or_(ImportLine.address_key == address.key, *quoted)


def _names(address: Address, text: str) -> bool:
    return any(spelling in text.lower() for spelling in _spellings(address))


def _spellings(address: Address) -> set[str]:
    return {address.key.lower(), address.typed.lower()}


def _bad(session: Session, run_id: int) -> Iterator[ImportLine]:
    """In their order, page by page."""
    after = 0
    while page := session.scalars(
        select(ImportLine)
        .where(ImportLine.run_id == run_id, ImportLine.fate == Fate.BAD, ImportLine.id > after)
        .order_by(ImportLine.id)
        .limit(_PAGE_ROWS)
    ).all():
        yield from page
        after = page[-1].id
        session.expunge_all()


def _key(text: str) -> str:
    """Of the address that this is; empty when it is none."""
    try:
        return Address.parse(text).key
    except AddressError:
        return ""
