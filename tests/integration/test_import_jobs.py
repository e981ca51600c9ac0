"""Imports in the background: one process at a time, with a trail, ended and gone on with."""

from pathlib import Path

import pytest

from newsletter.accounts import audit
from newsletter.core.db import Sessions
from newsletter.core.doorbell import IMPORTS, SEGMENTS
from newsletter.core.tokens import TokenKeys
from newsletter.jobs import bell, imports
from newsletter.sending import leases
from subscribers.imports.runs import moves
from subscribers.imports.runs.models import ImportState
from subscribers.imports.runs.moves import Wishes
from tests import factories
from tests.uploads import Uploads

ON_ONE = pytest.mark.parametrize("sessions", ["sqlite"], indirect=True)


@pytest.fixture
def uploads(sessions: Sessions, tmp_path: Path) -> Uploads:
    with sessions.writing() as session:
        list_id = factories.a_list(session, issue=factories.stored_issue(session)).id
    return Uploads(sessions, tmp_path, list_id)


def _ask(uploads: Uploads, text: str = "email\nada@example.org\nnope\n") -> int:
    run_id = uploads.send(text)
    with uploads.sessions.writing() as session:
        moves.check(session, run_id, Wishes())
    return run_id


@ON_ONE
def test_what_waits_is_worked_on_and_its_end_is_on_record(
    uploads: Uploads, keys: TokenKeys
) -> None:
    runtime = factories.runtime(uploads.sessions, keys)
    rung: list[int] = []
    uploads.sessions.ring = rung.append
    run_ids = [_ask(uploads), _ask(uploads, "email\nbob@example.org\n")]
    imports.work(runtime)
    with uploads.sessions.writing() as session:
        for run_id in run_ids:
            moves.start(session, run_id)
    imports.work(runtime)
    assert {uploads.run(run_id).state for run_id in run_ids} == {ImportState.DONE}
    assert rung == [IMPORTS] * 4
    with uploads.sessions.reading() as session:
        last, first = audit.trail(session)
        assert not imports.has_work(session)
    assert (first.actor, first.action) == ("Ada", "import.done")
    assert first.details == {"number": run_ids[0], "list": "mornings", "added": 1, "bad": 1}
    assert last.details["added"] == 1
    assert "example.org" not in f"{first.details}{last.details}"


@ON_ONE
def test_while_another_process_is_at_it_nothing_is_done(uploads: Uploads, keys: TokenKeys) -> None:
    runtime = factories.runtime(uploads.sessions, keys)
    run_id = _ask(uploads)
    with leases.hold(uploads.sessions, "imports", 60) as held:
        assert held
        imports.work(runtime)
        assert uploads.run(run_id).state is ImportState.CHECKING
        assert uploads.run(run_id).attempts == 0
    imports.work(runtime, lambda: True)
    assert uploads.run(run_id).state is ImportState.CHECKING, "a process that ends begins nothing"
    imports.work(runtime)
    assert uploads.run(run_id).state is ImportState.CHECKED


@pytest.mark.parametrize(("work", "task"), [(IMPORTS, "run_imports"), (SEGMENTS, "keep_indexes")])
def test_the_bell_of_the_full_mode_rings_for_one(work: int, task: str) -> None:
    sent: list[tuple[str, object]] = []

    class App:
        def send_task(self, name: str, args: object = None, **options: object) -> None:
            assert options
            sent.append((name, args))

    bell.ring(App(), work)
    assert sent == [(f"newsletter.jobs.tasks.{task}", None)]
