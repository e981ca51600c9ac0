"""How an import goes: again, cut off, at once with others, rehearsed."""

import gc
from collections import Counter
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from newsletter.cli import subscriber_files
from newsletter.core.db import Sessions
from newsletter.core.errors import InputError
from subscribers.files import people_files
from subscribers.imports import importing, repeats, standings
from subscribers.imports import reading as reading_rows
from subscribers.imports.bulk import Others
from subscribers.imports.fates import Fate
from subscribers.imports.importing import CHUNK_ROWS, import_file
from subscribers.imports.options import ImportOptions, ImportReport
from subscribers.imports.runs.running import StoppedError
from subscribers.models import (
    ConsentEvent,
    SubscriberList,
)
from tests import factories
from tests.imports import Desk


@pytest.fixture
def desk(sessions: Sessions, tmp_path: Path) -> Desk:
    return Desk(sessions, tmp_path)


def test_twice_is_as_once(desk: Desk) -> None:
    text = "email,status\n" + "".join(f"r{n}@example.org,active\n" for n in range(CHUNK_ROWS + 5))
    assert desk.run(text).counts == {Fate.ADDED: CHUNK_ROWS + 5}
    before = desk.standing()
    assert desk.run(text).counts == {Fate.PRESENT: CHUNK_ROWS + 5}
    assert desk.standing() == before
    with desk.sessions.reading() as session:
        assert session.scalar(select(func.count()).select_from(ConsentEvent)) == CHUNK_ROWS + 5


def test_an_import_that_was_cut_off_goes_on_when_run_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "CHUNK_ROWS", 100)
    file = desk.folder / "people.csv"
    file.write_text("email\n" + "".join(f"r{n}@example.org\n" for n in range(1_000)))
    seen: list[int] = []

    def cut_off(bytes_read: int) -> None:
        seen.append(bytes_read)
        if len(seen) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_file(desk.sessions, file, desk.find_list, progress=cut_off)
    kept = len(desk.standing())
    assert 100 <= kept <= 400
    report = import_file(desk.sessions, file, desk.find_list)
    assert report.counts == {Fate.PRESENT: kept, Fate.ADDED: 1_000 - kept}
    with desk.sessions.reading() as session:
        assert session.scalar(select(func.count()).select_from(ConsentEvent)) == 1_000


def test_whoever_is_known_behind_many_who_are_new_is_met(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "CHUNK_ROWS", 30)
    desk.run("email,status\nleft@example.org,unsubscribed\nhere@example.org,active\n")
    new = "".join(f"r{n}@example.org,active\n" for n in range(50))
    known = "left@example.org,active\nhere@example.org,active\nr1@example.org,unsubscribed\n"
    more = "".join(f"s{n}@example.org,active\n" for n in range(50))
    assert desk.run(f"email,status\n{new}{known}{more}").counts == {
        Fate.ADDED: 100,
        Fate.KEPT_UNSUBSCRIBED: 1,
        Fate.PRESENT: 1,
        Fate.ENDED: 1,
    }
    standing = desk.standing()
    assert len(standing) == 102
    left = {address for address, (status, _) in standing.items() if status == "unsubscribed"}
    assert left == {"left@example.org", "r1@example.org"}


def test_who_signs_up_while_a_file_is_imported_is_there_once(
    postgresql: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look for known people and their addition; on SQLite nobody else writes then."""
    desk = Desk(postgresql, tmp_path)
    asked = standings.known_ids

    def ask_and_be_overtaken(session: Session, keys: Collection[str]) -> Any:
        known = asked(session, keys)
        monkeypatch.setattr(standings, "known_ids", asked)
        with desk.sessions.writing() as other:
            readers = other.get_one(SubscriberList, desk.list_id)
            factories.subscribed(other, readers, ["ada@example.org"])
            factories.person(other, "bob@example.org", "Bobby")
        return known

    monkeypatch.setattr(standings, "known_ids", ask_and_be_overtaken)
    rows = "ada@example.org,unsubscribed\nbob@example.org,\ncyd@example.org,\n"
    report = desk.run(f"email,status\n{rows}")
    assert report.counts == {Fate.ENDED: 1, Fate.ADDED: 2}
    assert desk.standing()["ada@example.org"][0] == "unsubscribed"
    assert len(desk.standing()) == 3


def test_two_imports_of_the_same_people_at_once_take_turns(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "CHUNK_ROWS", 50)
    lines = [f"r{n}@example.org\n" for n in range(600)]
    files = [desk.folder / "up.csv", desk.folder / "down.csv"]
    for file, ordered in zip(files, (lines, lines[::-1]), strict=True):
        file.write_text("email\n" + "".join(ordered))
    with ThreadPoolExecutor(2) as pool:
        reports = list(
            pool.map(lambda file: import_file(desk.sessions, file, desk.find_list), files)
        )
    assert sum((report.counts for report in reports), Counter()) == {
        Fate.ADDED: 600,
        Fate.PRESENT: 600,
    }
    assert len(desk.standing()) == 600


def test_an_import_notices_who_else_writes_on_sqlite(desk: Desk) -> None:
    others, noticed = Others(), []
    with desk.sessions.own_connection() as connection:
        for name in ("One", "", "", "Two"):
            if name:
                with desk.sessions.writing() as session:
                    factories.a_list(session, name)
            with desk.sessions.writing(on=connection) as session:
                noticed.append(others.wrote(session))
    on_sqlite = desk.sessions.dialect == "sqlite"
    assert noticed == [False, False, False, on_sqlite]


def test_a_rehearsal_shows_examples_of_each_fate(desk: Desk) -> None:
    text = "email,status,suppressed\n" + "".join(f"r{n}@example.org,,\n" for n in range(5))
    report = desk.run(f"{text}gone@example.org,unsubscribed,gone\n", rehearse=True)
    assert report.examples == {
        Fate.ADDED: [f"people.csv:{n + 2} r{n}@example.org" for n in range(3)],
        Fate.SUPPRESSED: ["people.csv:7 gone@example.org"],
    }
    assert report.added_as == {"active": 5}


def test_a_rehearsal_counts_and_changes_nothing(desk: Desk) -> None:
    report = desk.run("email\nada@example.org\nbad\n", rehearse=True, bad_rows=desk.folder / "bad")
    assert report.counts == {Fate.ADDED: 1, Fate.BAD: 1}
    assert desk.standing() == {}
    assert not (desk.folder / "bad").exists()


@pytest.mark.parametrize("rehearse", [True, False])
def test_a_list_is_made_with_its_first_rows_or_not_at_all(desk: Desk, rehearse: bool) -> None:
    file = desk.folder / "people.csv"
    options = ImportOptions(rehearse=rehearse)

    def make(session: Session) -> int:
        return factories.a_list(session, "Evenings").id

    for broken in ("", "name\nAda\n", 'email\n"open\n'):
        file.write_text(broken)
        with pytest.raises(InputError):
            import_file(desk.sessions, file, make, options)
        assert slugs(desk) == ["mornings"]
    file.write_text("email\nada@example.org\n")
    assert import_file(desk.sessions, file, make, options).counts == {Fate.ADDED: 1}
    assert slugs(desk) == (["mornings"] if rehearse else ["evenings", "mornings"])


def slugs(desk: Desk) -> list[str]:
    with desk.sessions.reading() as session:
        return sorted(session.scalars(select(SubscriberList.slug)))


def test_a_rehearsal_holds_up_nobody_who_writes_meanwhile(desk: Desk) -> None:
    (desk.folder / "people.csv").write_text("email\nada@example.org\n")
    made: list[str] = []

    def write_meanwhile(bytes_read: int) -> None:
        with desk.sessions.writing() as session:
            made.append(factories.a_list(session, f"Meanwhile {len(made)} {bytes_read}").slug)

    options = ImportOptions(rehearse=True)
    report = import_file(
        desk.sessions, desk.folder / "people.csv", desk.find_list, options, write_meanwhile
    )
    assert report.counts == {Fate.ADDED: 1}
    assert made
    assert slugs(desk) == sorted([*made, "mornings"])
    assert not list(desk.folder.glob(".rehearsal-*"))


def test_what_came_before_the_broken_line_is_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "CHUNK_ROWS", 2)
    with pytest.raises(InputError, match=r":6:"):
        desk.run(b"email\na@example.org\nb@example.org\nc@example.org\nd@example.org\n\xff\n")
    assert len(desk.standing()) == 4


def test_cycles_are_looked_for_as_often_as_before_once_an_import_is_over(
    sqlite_sessions: Sessions, tmp_path: Path
) -> None:
    desk, before = Desk(sqlite_sessions, tmp_path), gc.get_threshold()
    meanwhile: list[int] = []

    def look(session: Session) -> int:
        meanwhile.append(gc.get_threshold()[0])
        return desk.find_list(session)

    file = tmp_path / "people.csv"
    for content in (b"email\nada@example.org\n", b"email\nada@example.org\n\xff\n"):
        file.write_bytes(content)
        with suppress(InputError):
            import_file(desk.sessions, file, look)
        assert gc.get_threshold() == before
    assert meanwhile[0] > before[0]


def test_rehearsed_in_pieces_rows_meet_those_before_them_and_nothing_stays_locked(
    postgresql: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "CHUNK_ROWS", 7)
    monkeypatch.setattr(repeats, "_PEOPLE_A_HEAP", 3)
    monkeypatch.setattr(repeats, "_PEOPLE_AT_ONCE", 2)
    desk = Desk(postgresql, tmp_path)
    with desk.sessions.writing() as session:
        readers = session.get_one(SubscriberList, desk.list_id)
        factories.subscribed(session, readers, ["r1@example.org", "r2@example.org"])
    statuses = ["active", "unsubscribed", "pending", "active", "gone"]
    rows = [
        f"r{n * n % 11}@example.org,{statuses[n % 5]},{'complaint' if n % 13 == 5 else ''}"
        for n in range(60)
    ]
    file = tmp_path / "people.csv"
    file.write_text("\n".join(["email,status,suppressed", *rows]))
    locks: list[int] = []

    def look(_bytes: int) -> None:
        with desk.sessions.reading() as session:
            held = text(
                "SELECT count(*) FROM pg_locks JOIN pg_database ON oid = database "
                "WHERE datname = current_database() AND relation = 'subscribers'::regclass "
                "AND mode = 'RowExclusiveLock'"
            )
            locks.append(session.scalar(held) or 0)

    reports = [
        import_file(
            desk.sessions,
            file,
            desk.find_list,
            ImportOptions(rehearse=True, in_company=pieces),
            look if pieces else lambda _bytes: None,
        )
        for pieces in (False, True)
    ]
    assert len(locks) > 5
    assert set(locks) == {0}
    assert reports[1].counts == reports[0].counts
    assert Counter(reports[1].added_as) == Counter(reports[0].added_as)
    assert import_file(desk.sessions, file, desk.find_list).counts == reports[1].counts


def test_the_command_rehearses_in_pieces_where_no_list_is_to_be_made(
    postgresql: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, in_pieces = Desk(postgresql, tmp_path), []

    def noted(*arguments: Any) -> ImportReport:
        in_pieces.append(arguments[3].in_company)
        return import_file(*arguments)

    monkeypatch.setattr(subscriber_files, "import_file", noted)
    file = tmp_path / "people.csv"
    for rows, expected, made in (
        ("email\nada@example.org\n", [True], []),
        ("email,list\nada@example.org,\nbob@example.org,new\n", [True, False], ["new"]),
    ):
        file.write_text(rows)
        target = subscriber_files._Lists("mornings")
        options = ImportOptions(rehearse=True)
        report = target.take(desk.sessions, file, options, lambda _bytes: None)
        assert (report.counts, target.made) == ({Fate.ADDED: rows.count("@")}, made)
        assert in_pieces == expected
        in_pieces.clear()


def test_a_rehearsal_in_pieces_reads_twice_however_many_repeat_and_ends_when_it_is_told(
    postgresql: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "CHUNK_ROWS", 20)
    monkeypatch.setattr(repeats, "_PEOPLE_A_HEAP", 10)
    monkeypatch.setattr(repeats, "_PEOPLE_AT_ONCE", 4)
    desk = Desk(postgresql, tmp_path)
    people = "".join(f"p{n}@example.org\n" for n in range(100))
    file = tmp_path / "people.csv"
    file.write_text(f"email\n{people}{people}")
    readings: list[str] = []

    def reading(*what: Any) -> Any:
        readings.append("once")
        return people_files.opened(*what)

    monkeypatch.setattr(reading_rows, "opened", reading)
    looks: list[int] = []
    options = ImportOptions(rehearse=True, in_company=True)
    whole = import_file(desk.sessions, file, desk.find_list, options, looks.append)
    assert readings == ["once", "once"]
    assert whole.counts[Fate.ADDED] == whole.counts.total() - 100 == 100

    def stop(bytes_read: int) -> None:
        seen.append(bytes_read)
        if len(seen) == at:
            raise StoppedError

    # While it is read for the first time, for the second, and while people are counted anew.
    for at in (3, 15, len(looks)):
        seen: list[int] = []
        with pytest.raises(StoppedError):
            import_file(desk.sessions, file, desk.find_list, options, stop)
        assert len(seen) == at
    assert len(looks) > 10 + 10 + 100 // 4
