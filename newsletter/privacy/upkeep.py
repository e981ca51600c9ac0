"""What is kept for a time: raw evidence of visits, and the audit trail. Emptied once a day.

In chunks, each a short transaction: whoever sends or records hits waits for none of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from newsletter.accounts import invitations, logins, seats
from newsletter.accounts.models import AuditEvent
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.sections import RetentionSettings
from newsletter.tracking import evidence
from newsletter.tracking.models import Event
from subscribers.imports.runs import forgetting
from subscribers.models import ConsentEvent

CHUNK_ROWS = 1_000

_CONSENT_EVIDENCE = or_(ConsentEvent.ip != "", ConsentEvent.user_agent != "")


@dataclass(frozen=True, slots=True)
class Old:
    """Rows that have passed their time: to be emptied of evidence, or to be deleted."""

    events: int
    consent_events: int
    audit_events: int
    import_lines: int

    @property
    def total(self) -> int:
        return self.events + self.consent_events + self.audit_events + self.import_lines


def find_old(session: Session, settings: RetentionSettings) -> Old:
    """How many rows `retain` would go through."""
    evidence_before, audit_before = _limits(settings)
    return Old(
        events=_count(session, evidence.HAS_EVIDENCE, Event.at < evidence_before),
        consent_events=_count(session, _CONSENT_EVIDENCE, ConsentEvent.at < evidence_before),
        audit_events=_count(session, AuditEvent.at < audit_before),
        import_lines=_count(session, forgetting.old_lines(_imports_limit(settings))),
    )


def retain(
    sessions: Sessions,
    settings: RetentionSettings,
    progress: Callable[[int], None] = lambda _rows: None,
) -> Old:
    """Empty and cut what is old; stopped and called again, it goes on. Returns what was done."""
    evidence_before, audit_before = _limits(settings)
    return Old(
        events=_each_chunk(
            sessions,
            Event.id,
            (evidence.HAS_EVIDENCE, Event.at < evidence_before),
            evidence.empty,
            progress,
        ),
        consent_events=_each_chunk(
            sessions,
            ConsentEvent.id,
            (_CONSENT_EVIDENCE, ConsentEvent.at < evidence_before),
            _empty_consent,
            progress,
        ),
        audit_events=_each_chunk(
            sessions, AuditEvent.id, (AuditEvent.at < audit_before,), _cut_trail, progress
        ),
        import_lines=_forget_imports(sessions, settings, progress),
    )


def _limits(settings: RetentionSettings) -> tuple[datetime, datetime]:
    moment = now()
    return (
        moment - timedelta(days=settings.evidence_days),
        moment - timedelta(days=settings.audit_days),
    )


def _imports_limit(settings: RetentionSettings) -> datetime:
    return now() - timedelta(days=settings.imports_days)


def _forget_imports(
    sessions: Sessions, settings: RetentionSettings, progress: Callable[[int], None]
) -> int:
    """Bad rows after their time; what is left of an import as long as the trail goes back."""
    _, audit_before = _limits(settings)
    gone = forgetting.forget_lines(sessions, _imports_limit(settings))
    forgetting.forget_runs(sessions, audit_before)
    progress(gone)
    return gone


def _each_chunk(
    sessions: Sessions,
    key: InstrumentedAttribute[int],
    which: tuple[ColumnElement[bool], ...],
    act: Callable[[Session, Sequence[int]], object],
    progress: Callable[[int], None],
) -> int:
    """Along the primary key, read outside the transaction that writes: a long look locks nobody."""
    after, done = 0, 0
    while True:
        with sessions.reading() as session:
            wanted = select(key).where(key > after, *which).order_by(key).limit(CHUNK_ROWS)
            ids = session.scalars(wanted).all()
        if not ids:
            return done
        with sessions.writing() as session:
            act(session, ids)
        after = ids[-1]
        done += len(ids)
        progress(len(ids))


def _empty_consent(session: Session, ids: Sequence[int]) -> None:
    session.execute(
        update(ConsentEvent)
        .where(ConsentEvent.id.in_(ids))
        .values(ip="", user_agent="")
        .execution_options(synchronize_session=False)
    )


def _cut_trail(session: Session, ids: Sequence[int]) -> None:
    session.execute(
        delete(AuditEvent)
        .where(AuditEvent.id.in_(ids))
        .execution_options(synchronize_session=False)
    )


def _count(session: Session, *which: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).where(*which)) or 0


def forget_logins(sessions: Sessions) -> None:
    """Seats, links and counts of failures whose time is over."""
    with sessions.writing() as session:
        seats.forget_ended(session)
        logins.forget_past_windows(session)
        invitations.forget_ended(session)
