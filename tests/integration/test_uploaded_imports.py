"""An import is a run in the database: checked, started, cut off, gone on with, forgotten."""

from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import select, update

from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.errors import RefusedError
from subscribers import suppressions
from subscribers.imports import importing
from subscribers.imports.fates import Fate
from subscribers.imports.runs import forgetting, lines, moves, running
from subscribers.imports.runs.counts import Counts
from subscribers.imports.runs.models import (
    IMPORT_MOVES,
    ImportRun,
    ImportState,
)
from subscribers.imports.runs.moves import Wishes
from subscribers.models import (
    EVERYWHERE,
    Subscriber,
    SubscriberList,
    Subscription,
    Suppression,
    SuppressionReason,
)
from tests import factories
from tests.erased import KEY
from tests.uploads import Uploads, uploads_to_a_list

PIECE = 25
"""Chunks are never shorter, however slow the machine is, and here not longer either."""
MANY = "email\n" + "".join(f"r{n}@example.org\n" for n in range(300)) + "nobody\n"

ON_ONE = pytest.mark.parametrize("sessions", ["sqlite"], indirect=True)
"""Where no statement differs."""


@pytest.fixture
def uploads(sessions: Sessions, tmp_path: Path) -> Uploads:
    return uploads_to_a_list(sessions, tmp_path)


@pytest.fixture
def begun(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> int:
    """An import of many in small chunks: somebody said yes, and nobody works on it yet."""
    monkeypatch.setattr(importing, "CHUNK_ROWS", PIECE)
    run_id = uploads.send(MANY)
    uploads.check(run_id)
    with uploads.sessions.writing() as session:
        moves.start(session, run_id)
    return run_id


def _standing(sessions: Sessions) -> dict[str, str]:
    with sessions.reading() as session:
        found = select(Subscriber.address_key, Subscription.status).join(Subscription)
        return {key: str(status) for key, status in session.execute(found)}


@ON_ONE
def test_a_checked_file_says_what_would_be_and_changes_nothing(uploads: Uploads) -> None:
    with uploads.sessions.writing() as session:
        readers = session.get_one(SubscriberList, uploads.list_id)
        factories.subscribed(session, readers, ["here@example.org"])
        suppressions.suppress(
            session, "gone@example.org", reason=SuppressionReason.GONE, source="test"
        )
    run_id = uploads.send(
        "email,status\nada@example.org,active\nADA@example.org,active\nbob@example.org,pending\n"
        "cyd@example.org,unsubscribed\nhere@example.org,active\ngone@example.org,active\nnobody,\n"
    )
    run = uploads.check(run_id)
    counts = Counts.from_json(run.expected)
    assert run.state is ImportState.CHECKED
    assert counts.fates == {
        Fate.ADDED: 3,
        Fate.PRESENT: 2,
        Fate.KEPT_SUPPRESSED: 1,
        Fate.BAD: 1,
    }
    assert (counts.active, counts.pending, counts.left, counts.joining) == (1, 1, 1, 2)
    assert _standing(uploads.sessions) == {"here@example.org": "active"}
    with uploads.sessions.reading() as session:
        (bad,) = lines.lines_of(session, run_id, Fate.BAD)
        added = lines.lines_of(session, run_id, Fate.ADDED)
    assert bad.place == "people.csv:8"
    assert [(line.place, line.text) for line in added[:1]] == [("people.csv:2", "ada@example.org")]


def test_an_import_that_was_cut_off_goes_on_behind_its_last_row(
    uploads: Uploads, begun: int
) -> None:
    """Whatever was cut off, no row is counted twice and no bad row is kept twice."""
    asked = iter([False, False, False, True])
    shop = running.Workshop(uploads.sessions, KEY, uploads._record, lambda: next(asked, True))
    running.work_on(shop, begun)
    assert uploads.run(begun).rows_read == 3 * PIECE
    assert uploads.run(begun).state is ImportState.IMPORTING
    uploads.work()
    assert uploads.run(begun).state is ImportState.DONE
    assert uploads.counts(begun).fates == {Fate.ADDED: 300, Fate.BAD: 1}
    assert uploads.counts(begun).added_as == {"active": 300}
    with uploads.sessions.reading() as session:
        assert len(lines.lines_of(session, begun, Fate.BAD)) == 1
    assert uploads.parts() == 0


def test_of_two_who_work_on_one_import_one_stores_each_row(
    uploads: Uploads, begun: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should a lease ever fail: whoever finds that the run has come on without them stops."""
    note = running._Ledger.note

    def overtaken(ledger: running._Ledger, session: object, step: object) -> None:
        if ledger._rows == PIECE:
            session.execute(update(ImportRun).values(rows_read=2 * PIECE))  # type: ignore[attr-defined]
        note(ledger, session, step)  # type: ignore[arg-type]

    monkeypatch.setattr(running._Ledger, "note", overtaken)
    running.work_on(uploads.shop(), begun)
    assert uploads.run(begun).state is ImportState.IMPORTING
    assert uploads.run(begun).rows_read == PIECE, "what was stored with it is rolled back"
    assert len(_standing(uploads.sessions)) == PIECE


@ON_ONE
def test_cancelled_in_the_middle_what_is_in_stays_and_the_file_goes(
    uploads: Uploads, begun: int
) -> None:
    asked: list[int] = []

    def cancel_then() -> bool:
        asked.append(1)
        return len(asked) == 3

    running.work_on(running.Workshop(uploads.sessions, KEY, uploads._record, cancel_then), begun)
    with uploads.sessions.writing() as session:
        moves.cancel(session, begun)
    uploads.work()
    assert uploads.run(begun).state is ImportState.CANCELLED
    assert len(_standing(uploads.sessions)) == uploads.run(begun).rows_read == 2 * PIECE
    assert uploads.parts() == 0


@ON_ONE
def test_what_a_file_suppresses_is_for_the_newsletters_own_lists(uploads: Uploads) -> None:
    with uploads.sessions.writing() as session:
        factories.a_list(session, "Elsewhere")
        own = session.get_one(SubscriberList, uploads.list_id)
        second = factories.a_list(session, "Evenings")
        second.newsletter_id = own.newsletter_id
        ours = {own.id, second.id}
    text = "email,status,suppressed\nada@example.org,unsubscribed,complaint\n"
    uploads.whole(text)
    with uploads.sessions.reading() as session:
        assert set(session.scalars(select(Suppression.list_id))) == ours
    uploads.whole(text, Wishes(everywhere=True))
    with uploads.sessions.reading() as session:
        assert set(session.scalars(select(Suppression.list_id))) == {*ours, EVERYWHERE}


@ON_ONE
def test_a_row_that_names_another_newsletters_list_is_bad(uploads: Uploads) -> None:
    with uploads.sessions.writing() as session:
        factories.a_list(session, "Elsewhere")
    run_id = uploads.whole(
        "email,list,status\nada@example.org,Mornings,active\nbob@example.org,elsewhere,active\n"
        "cyd@example.org,,\neve@example.org,New one,active\n"
    )
    assert uploads.counts(run_id).fates == {Fate.ADDED: 1, Fate.BAD: 3}
    assert _standing(uploads.sessions) == {"ada@example.org": "active"}
    with uploads.sessions.reading() as session:
        problems = [line.problem for line in lines.lines_of(session, run_id, Fate.BAD)]
        assert len(session.scalars(select(SubscriberList)).all()) == 2
    assert problems == [
        "list: there is no list 'elsewhere' here",
        "list: expected the name of a list, or no such column",
        "list: there is no list 'New one' here",
    ]


@ON_ONE
def test_bad_rows_import_again_once_mended(uploads: Uploads) -> None:
    run_id = uploads.whole("E-Mail;name\nnope;=cmd()\nada@example.org;Ada\n", MAPPED)
    with uploads.sessions.reading() as session:
        text = "".join(lines.bad_rows(session, session.get_one(ImportRun, run_id)))
    assert "nope,'=cmd()," in text
    again = uploads.whole(text.replace("nope", "bob@example.org"), MAPPED)
    assert uploads.counts(again).fates == {Fate.ADDED: 1}
    with uploads.sessions.reading() as session:
        assert set(session.scalars(select(Subscriber.name))) == {"Ada", "=cmd()"}


MAPPED = Wishes(preset="own", columns={"E-Mail": "email"}, tags=("fair",))


@ON_ONE
def test_tags_are_of_everybody_new_and_unconfirmed_people_are_pending(uploads: Uploads) -> None:
    wishes = Wishes(unconfirmed=True, tags=("fair", "2026"))
    uploads.whole('email,tags\nada@example.org,"early,fair"\nbob@example.org,\n', wishes)
    with uploads.sessions.reading() as session:
        tags = {
            p.address_key[:3]: p.attributes["tags"] for p in session.scalars(select(Subscriber))
        }
    assert tags == {"ada": ["early", "fair", "2026"], "bob": ["fair", "2026"]}
    assert set(_standing(uploads.sessions).values()) == {"pending"}


@ON_ONE
def test_columns_that_were_said_wrongly_can_be_said_again(uploads: Uploads) -> None:
    run_id = uploads.send("Mail,name\nada@example.org,Ada\n")
    assert "expected a column `email`" in uploads.run(run_id).glance["problem"]
    run = uploads.check(run_id, Wishes(preset="ghost"))
    assert run.state is ImportState.UPLOADED
    assert run.problem.startswith("people.csv:1: expected the columns of ghost")
    run = uploads.check(run_id, Wishes(preset="own", columns={"Mail": "email"}))
    assert run.state is ImportState.CHECKED
    assert run.problem == ""


@ON_ONE
def test_a_file_that_breaks_off_fails_and_says_where(uploads: Uploads) -> None:
    run_id = uploads.send(MANY.encode() + b"x\xff@example.org\n")
    run = uploads.check(run_id)
    assert (run.state, run.problem) == (
        ImportState.UPLOADED,
        "people.csv:303: expected UTF-8, found byte 0xff",
    )


@ON_ONE
def test_a_file_that_kills_whoever_reads_it_is_let_alone(uploads: Uploads) -> None:
    run_id = uploads.send("email\nada@example.org\n")
    with uploads.sessions.writing() as session:
        moves.check(session, run_id, Wishes()).attempts = running.MOST_ATTEMPTS
    uploads.work()
    assert uploads.run(run_id).state is ImportState.FAILED
    assert uploads.ended == ["failed"]


@ON_ONE
def test_an_import_that_would_change_nothing_is_not_begun(uploads: Uploads) -> None:
    uploads.whole("email\nada@example.org\n")
    again = uploads.send("email\nada@example.org\n")
    uploads.check(again)
    with uploads.sessions.writing() as session, pytest.raises(RefusedError, match="nothing"):
        moves.start(session, again)


@pytest.mark.parametrize("state", ImportState)
def test_a_run_moves_as_the_table_says(state: ImportState) -> None:
    run = ImportRun(id=1, state=state)
    for to in ImportState:
        run.state = state
        if to in IMPORT_MOVES[state]:
            moves.move(run, to)
            assert run.state is to
        else:
            with pytest.raises(RefusedError):
                moves.move(run, to)


def test_files_that_nobody_goes_on_with_and_old_bad_rows_go(uploads: Uploads) -> None:
    with time_machine.travel(now() - timedelta(days=40), tick=False):
        done = uploads.whole("email\nnope\nada@example.org\n")
        waiting = uploads.send("email\nbob@example.org\n")
        assert uploads.parts() == 1
    uploads.work()
    assert uploads.parts() == 0
    assert uploads.run(waiting).state is ImportState.CANCELLED
    a_month, two_months = now() - timedelta(days=30), now() - timedelta(days=60)
    assert forgetting.forget_lines(uploads.sessions, two_months) == 0
    assert forgetting.forget_lines(uploads.sessions, a_month) == 1
    forgetting.forget_runs(uploads.sessions, two_months)
    assert uploads.run(done).counts != {}
    forgetting.forget_runs(uploads.sessions, a_month)
    with uploads.sessions.reading() as session:
        assert session.scalars(select(ImportRun.id)).all() == [waiting]
