"""What imports leave behind goes: files when they are over or wait for days, bad rows in time."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, exists, or_, select
from sqlalchemy.orm import Session

from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.sentences import say
from subscribers.imports.runs.models import (
    OVER,
    WAITING,
    ImportLine,
    ImportPart,
    ImportRun,
    ImportState,
)
from subscribers.imports.runs.moves import locked, move

WAITING_HOURS = 24
"""For somebody who says how to go on; a file holds addresses."""
_PARTS_AT_ONCE = 8
_LINES_AT_ONCE = 1_000

_NOBODY_WENT_ON = say("nobody went on with it within a day")


def any_left(session: Session) -> bool:
    """Whether `clear` has anything to do."""
    return bool(session.scalar(select(or_(exists().where(_given_up()), exists().where(_left())))))


def clear(sessions: Sessions) -> None:
    """Give up what has waited too long, and delete the files of what is over."""
    with sessions.writing() as session:
        for run_id in session.scalars(select(ImportRun.id).where(_given_up())).all():
            run = locked(session, run_id)
            if run.state in (*WAITING, ImportState.RECEIVING):
                move(run, ImportState.CANCELLED, _NOBODY_WENT_ON)
    while _clear_some(sessions):
        pass


def _clear_some(sessions: Sessions) -> bool:
    """A few pieces in one short transaction; False when none was left."""
    with sessions.writing() as session:
        found = session.execute(
            select(ImportPart.run_id, ImportPart.number)
            .join(ImportRun, ImportRun.id == ImportPart.run_id)
            .where(ImportRun.state.in_(OVER))
            .limit(_PARTS_AT_ONCE)
        ).all()
        for run_id, number in found:
            session.execute(
                delete(ImportPart).where(ImportPart.run_id == run_id, ImportPart.number == number)
            )
            session.get_one(ImportRun, run_id).glance = {}
        return bool(found)


def old_lines(before: datetime) -> ColumnElement[bool]:
    """Of an ImportLine: its import was over before that time."""
    over = select(ImportRun.id).where(ImportRun.state.in_(OVER), ImportRun.changed_at < before)
    return ImportLine.run_id.in_(over)


def forget_lines(sessions: Sessions, before: datetime) -> int:
    """Delete the rows that are kept of imports that were over before that time; how many."""
    some = select(ImportLine.id).where(old_lines(before)).limit(_LINES_AT_ONCE)
    total, gone = 0, _LINES_AT_ONCE
    while gone == _LINES_AT_ONCE:
        with sessions.writing() as session:
            deleted = session.execute(
                delete(ImportLine).where(ImportLine.id.in_(some)).returning(ImportLine.id),
                execution_options={"synchronize_session": False},
            )
            gone = len(deleted.all())
        total += gone
    return total


def forget_runs(sessions: Sessions, before: datetime) -> None:
    """Delete all that is left of imports that were over before that time."""
    with sessions.writing() as session:
        session.execute(
            delete(ImportRun).where(ImportRun.state.in_(OVER), ImportRun.changed_at < before),
            execution_options={"synchronize_session": False},
        )


def _given_up() -> ColumnElement[bool]:
    return ImportRun.state.in_((*WAITING, ImportState.RECEIVING)) & (
        ImportRun.changed_at < now() - timedelta(hours=WAITING_HOURS)
    )


def _left() -> ColumnElement[bool]:
    return (ImportPart.run_id == ImportRun.id) & ImportRun.state.in_(OVER)
