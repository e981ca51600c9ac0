"""A large file is read by a process beside the importing one: alike, and never left behind."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from newsletter.core.db import Sessions
from newsletter.core.errors import InputError, NewsletterError
from subscribers.imports import importing, reading
from subscribers.imports.fates import Fate
from subscribers.imports.importing import import_file
from subscribers.models import ConsentEvent, Subscriber
from tests.imports import Desk

ROWS = 2_000
MIXED = (
    "email,name,status,attributes,subscribed_at,tags\n"
    'ada@example.org,"Ada, of two\nlines",active,"{""plan"": ""pro""}",2026-01-02T03:04:05Z,a\n'
    "not an address,,,,,\n"
    "bob@example.org,,unsubscribed,,,\n"
    "ada@example.org,,unsubscribed,,2026-02-02T03:04:05Z,\n"
    "cleo@example.org,,active,,yesterday,\n"
    "dora@bücher.example,,pending,,,b\n"
)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list["subprocess.Popen[bytes]"]:
    """The processes of this test, as any file is worth one."""
    monkeypatch.setattr(reading, "_WORTH_A_PROCESS_BYTES", 0)
    processes: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*what: Any, **how: Any) -> "subprocess.Popen[bytes]":
        processes.append(popen(*what, **how))
        return processes[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    return processes


def test_beside_as_here(
    sqlite_sessions: Sessions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    started: list[Any],
) -> None:
    results = []
    desk = Desk(sqlite_sessions, tmp_path)
    for worth in (0, 1_000_000):
        monkeypatch.setattr(reading, "_WORTH_A_PROCESS_BYTES", worth)
        bad = tmp_path / f"{worth}.csv"
        report = desk.run(MIXED, bad_rows=bad, tags=("moved",))
        counts = report.counts, report.added_as, report.first_problems[0].rpartition("/")[2]
        results.append((counts, bad.read_text(), _stored(desk)))
    assert results[0] == results[1]
    assert len(started) == 1
    assert started[0].returncode is not None


def _stored(desk: Desk) -> list[Any]:
    """Everybody and their evidence; then nobody is there any more."""
    with desk.sessions.writing() as session:
        people = session.scalars(select(Subscriber).order_by(Subscriber.email)).all()
        events = session.scalars(
            select(ConsentEvent).order_by(ConsentEvent.source, ConsentEvent.id)
        )
        evidence = [(event.change, event.source, event.wording) for event in events]
        stored = [(person.email, person.name, person.attributes) for person in people]
        session.execute(delete(Subscriber))
    return [*stored, *evidence]


def test_what_came_before_a_broken_line_is_kept(
    sqlite_sessions: Sessions, tmp_path: Path, started: list[Any]
) -> None:
    desk = Desk(sqlite_sessions, tmp_path)
    with pytest.raises(InputError, match=r"people.csv:4: expected UTF-8"):
        desk.run(b"email\na@example.org\nb@example.org\n\xff\nc@example.org\n")
    assert list(desk.standing()) == ["a@example.org", "b@example.org"]
    assert started[0].returncode is not None


@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_an_end_in_the_middle_leaves_nobody_behind_and_goes_on_when_run_again(
    sqlite_sessions: Sessions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    started: list[Any],
    how: str,
) -> None:
    monkeypatch.setattr(importing, "CHUNK_ROWS", 50)
    desk = Desk(sqlite_sessions, tmp_path)
    file = tmp_path / "people.csv"
    # More than fits into a pipe: the process is in the middle of the file when it ends.
    people = (f"r{n}@example.org,{'x' * 200}\n" for n in range(ROWS))
    file.write_text("email,name\n" + "".join(people))

    def end(bytes_read: int) -> None:
        del bytes_read
        started[0].kill()
        if how == "interrupted":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt if how == "interrupted" else NewsletterError) as raised:
        import_file(desk.sessions, file, desk.find_list, progress=end)
    if how == "killed":
        assert "ended with status -9" in str(raised.value)
    assert started[0].returncode is not None
    kept = len(desk.standing())
    assert 0 < kept < ROWS
    report = import_file(desk.sessions, file, desk.find_list)
    assert report.counts == {Fate.PRESENT: kept, Fate.ADDED: ROWS - kept}
