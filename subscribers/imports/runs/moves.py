"""What people do to an import: say what the file is, say yes, cancel it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import delete, select
from sqlalchemy.orm import Session, contains_eager

from newsletter.core.clock import now
from newsletter.core.doorbell import IMPORTS, ring_after_commit
from newsletter.core.errors import NotFoundError, RefusedError
from newsletter.core.sentences import Sentence, say
from subscribers.imports.runs.counts import Counts
from subscribers.imports.runs.models import (
    IMPORT_MOVES,
    ImportLine,
    ImportRun,
    ImportState,
)
from subscribers.models import SubscriberList


@dataclass(frozen=True, slots=True)
class Wishes:
    """How somebody wants a file to be imported; all as `ImportOptions` and `Reading` have it."""

    preset: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    unconfirmed: bool = False
    everywhere: bool = False
    tags: Sequence[str] = ()


def locked(session: Session, run_id: int) -> ImportRun:
    """The run, so that nobody else moves it meanwhile.

    Raises:
        NotFoundError: there is none.
    """
    run = session.get(ImportRun, run_id, with_for_update=True, populate_existing=True)
    if run is None:
        raise NotFoundError("import", run_id)
    return run


def move(run: ImportRun, to: ImportState, problem: Sentence | None = None) -> None:
    """Into another state.

    Raises:
        RefusedError: it does not lead there from where it is.
    """
    if to not in IMPORT_MOVES[run.state]:
        raise RefusedError(
            say(
                "import %(id)s is %(state)s, so it cannot become %(to)s",
                id=run.id,
                state=run.state,
                to=to,
            )
        )
    run.state, run.problem, run.changed_at, run.attempts = to, problem or "", now(), 0


def check(session: Session, run_id: int, wishes: Wishes) -> ImportRun:
    """Have the file rehearsed in the background: nothing is changed by it.

    Raises:
        NotFoundError, RefusedError: there is no such import, or it is beyond that.
    """
    run = locked(session, run_id)
    move(run, ImportState.CHECKING)
    run.preset, run.columns = wishes.preset, dict(wishes.columns)
    run.unconfirmed, run.everywhere = wishes.unconfirmed, wishes.everywhere
    run.tags = list(wishes.tags)
    run.expected, run.bytes_read = {}, 0
    _forget_lines(session, run)
    ring_after_commit(session, IMPORTS)
    return run


class CheckedAgainError(RefusedError):
    """Somebody says yes to what is not what would happen any more."""


def start(session: Session, run_id: int, seen: str | None = None) -> ImportRun:
    """Have the file imported in the background, as it was checked.

    `seen` is the `rehearsal` that whoever says yes was shown; None: they see the latest.

    Raises:
        NotFoundError, RefusedError: there is no such import, it was not checked, or it would
            change nothing.
        CheckedAgainError: it was checked with other columns or options since.
    """
    run = locked(session, run_id)
    if run.state is ImportState.CHECKED and not Counts.from_json(run.expected).changing:
        raise RefusedError(say("this file would change nothing"))
    if run.state is ImportState.CHECKED and seen not in (None, rehearsal(run)):
        raise CheckedAgainError(say("it was checked again since"))
    move(run, ImportState.IMPORTING)
    run.counts, run.rows_read, run.bytes_read = {}, 0, 0
    _forget_lines(session, run)
    ring_after_commit(session, IMPORTS)
    return run


def rehearsal(run: ImportRun) -> str:
    """Tells one rehearsal of the file from every other."""
    return run.changed_at.isoformat()


def cancel(session: Session, run_id: int) -> ImportRun:
    """End it; what is in stays in. Its file goes a little later.

    Raises:
        NotFoundError, RefusedError: there is no such import, or it is over already.
    """
    run = locked(session, run_id)
    move(run, ImportState.CANCELLED)
    ring_after_commit(session, IMPORTS)
    return run


def runs_of(
    session: Session, newsletter_id: int, *, before: int | None = None, most: int = 25
) -> Sequence[ImportRun]:
    """A newsletter's imports, the latest first; those before that id."""
    wanted = (
        select(ImportRun)
        .join(ImportRun.subscriber_list)
        .options(contains_eager(ImportRun.subscriber_list))
        .where(
            SubscriberList.newsletter_id == newsletter_id,
            ImportRun.state != ImportState.RECEIVING,
        )
        .order_by(ImportRun.id.desc())
        .limit(most)
    )
    return session.scalars(wanted if before is None else wanted.where(ImportRun.id < before)).all()


def _forget_lines(session: Session, run: ImportRun) -> None:
    session.execute(delete(ImportLine).where(ImportLine.run_id == run.id))
