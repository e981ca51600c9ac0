"""CSV in and out: tolerant of programs, bad rows with their place, whole or not at all."""

import shutil
from pathlib import Path

import pytest
from sqlalchemy import select

from newsletter.core.db import Sessions, connect
from newsletter.core.errors import InputError
from subscribers.exporting import Selection, export
from subscribers.files import csv_files
from subscribers.files.whole_files import CsvWriter
from subscribers.imports.fates import Fate
from subscribers.imports.importing import import_file
from subscribers.models import (
    Subscriber,
)
from tests.imports import Desk


@pytest.fixture
def desk(sessions: Sessions, tmp_path: Path) -> Desk:
    return Desk(sessions, tmp_path)


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ("0001-01-01T00:00:00+14:00,", "subscribed_at: expected a time"),
        ("9999-12-31T23:59:59-12:00,", "subscribed_at: expected a time"),
        (r',"{""a"": ""\ud800""}"', "attributes: expected a JSON object"),
        (',"{""a"": 1e999}"', "attributes: expected a JSON object"),
        (',"{""a"": NaN}"', "attributes: expected a JSON object"),
    ],
)
def test_a_cell_that_no_database_takes_is_a_bad_row_and_the_others_are_imported(
    desk: Desk, cells: str, problem: str
) -> None:
    report = desk.run(
        f"email,subscribed_at,attributes\nbad@example.org,{cells}\nada@example.org,,\n"
    )
    assert report.counts == {Fate.ADDED: 1, Fate.BAD: 1}
    assert problem in report.first_problems[0]


def test_bad_rows_never_replace_the_file_they_come_from(desk: Desk) -> None:
    file = desk.folder / "people.csv"
    (desk.folder / "other.csv").symlink_to(file)
    for bad_rows in (file, desk.folder / "other.csv"):
        with pytest.raises(InputError, match="is the file to import"):
            desk.run("email\nbad\n", bad_rows=bad_rows)
    assert file.read_text() == "email\nbad\n"
    for bad_rows in (desk.folder, desk.folder / "nowhere" / "x.csv"):
        with pytest.raises(InputError, match="expected a file in a folder that is there"):
            desk.run("email\nbad\n", bad_rows=bad_rows)
    assert desk.standing() == {}


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("before")

    def fail() -> None:
        with CsvWriter(file, ("email",)) as writer:
            writer.write(["a@example.org"])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert file.read_text() == "before"
    with CsvWriter(file, ("email",)) as writer:
        writer.write(["a@example.org"])
    assert file.read_text().split() == ["email", "a@example.org"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]
    with pytest.raises(InputError, match="found a folder"):
        CsvWriter(tmp_path, ("email",))
    with pytest.raises(InputError, match="cannot be written: "):
        CsvWriter(tmp_path / "no" / "x.csv", ("email",))


def test_bad_rows_go_to_a_file_that_imports_once_mended(desk: Desk) -> None:
    bad = desk.folder / "bad.csv"
    report = desk.run(
        "email,name,status,attributes\nada@example.org,Ada,active,\nnope,=cmd(),active,\n"
        'bob@example.org,Bob,gone,\ncyd@example.org,Cyd,active,"[1]"\n',
        bad_rows=bad,
    )
    assert report.counts == {Fate.ADDED: 1, Fate.BAD: 3}
    assert report.first_problems[0].startswith(f"{desk.folder / 'people.csv'}:3: email")
    rows = bad.read_text()
    assert "nope,'=cmd(),active,," in rows
    assert "expected one of pending, active, unsubscribed" in rows
    mended = rows.replace("nope", "eve@example.org").replace("gone,", "active,")
    assert desk.run(mended.replace("[1]", "{}"), bad_rows=bad).counts == {Fate.ADDED: 3}
    with desk.sessions.reading() as session:
        names = set(session.scalars(select(Subscriber.name)))
    assert names == {"Ada", "=cmd()", "Bob", "Cyd"}


def test_a_row_with_a_broken_quote_is_bad_and_reading_goes_on_behind_it(desk: Desk) -> None:
    bad = desk.folder / "bad.csv"
    broken = 'cyd@example.org,"Cyd "the" cat, unsubscribed",unsubscribed'
    text = f'email,name,status\nada@example.org,"A\nda",active\n{broken}\nbob@example.org,,active'
    report = desk.run(text, bad_rows=bad)
    assert report.counts == {Fate.ADDED: 2, Fate.BAD: 1}
    assert "people.csv:4: row: text follows a closing quote" in report.first_problems[0]
    # As it came, it is nobody's row: not even that of somebody who did not leave.
    assert desk.run(bad.read_text(), bad_rows=bad).counts == {Fate.BAD: 1}
    assert 'cyd@example.org,""Cyd ""the"" cat, unsubscribed"",unsubscribed' in bad.read_text()


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffemail;name\nada@example.org;Ada\n",
        "sep=;\r\nemail;name\r\nada@example.org;Ada\r\n",
        "E-Mail\tName\nada@example.org\tAda\n".replace("E-Mail", "Email"),
        'EMAIL , Name\n"ada@example.org" ,Ada,,,\n\n\n'.replace('" ,', '",'),
        'email,name\n"Ada ""x"" <ada@example.org>",\n'.replace('Ada ""x""', "Ada"),
    ],
)
def test_files_as_programs_write_them(desk: Desk, text: str) -> None:
    assert desk.run(text).counts == {Fate.ADDED: 1}
    with desk.sessions.reading() as session:
        person = session.scalars(select(Subscriber)).one()
    assert (person.address_key, person.name) == ("ada@example.org", "Ada")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", r"people\.csv:1: expected a header"),
        ("name\nAda\n", r"people\.csv:1: expected a column `email`, found name"),
        ("email,Email\na,b\n", r"people\.csv:1: column named twice: email"),
        (b"email\n\xff\xfe@example.org\n", r"people\.csv:2: expected UTF-8, found byte 0xff"),
        (b"email\na\0b\n", r"people\.csv:2: a NUL byte"),
        ('email\n"open\nbob@example.org\n', r"people\.csv:3: not CSV: .* begins in line 2 "),
        ('email\n"open\n"bob@example.org"\n', r"people\.csv:3: not CSV: .* begins in line 2 "),
        ('email,x\nada@example.org,"a "b"\nbob@example.org,\n"', r"people\.csv:2: .* line 2 "),
        ('email,x\na"b,"c\n', r"people\.csv:2: .* begins in line 2 "),
        ('email,"x"y\n', r"people\.csv:1: not CSV"),
        ("email\n" + "x" * 1_100_000, r"people\.csv:2: expected lines of at most"),
    ],
)
def test_what_is_no_such_file_is_named_with_its_line(
    desk: Desk, text: str | bytes, expected: str
) -> None:
    with pytest.raises(InputError, match=expected):
        desk.run(text)


def test_a_missing_file_is_named(desk: Desk) -> None:
    with pytest.raises(InputError, match=r"nowhere\.csv: cannot be read"):
        import_file(desk.sessions, desk.folder / "nowhere.csv", desk.find_list)


def test_export_and_import_again_give_the_same_state(
    desk: Desk, tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> None:
    desk.run(
        "email,name,attributes,status,tracking_consent,subscribed_at,evidence\n"
        'ada@example.org,"=HYPERLINK(""x"")","{""a"": [1, ""é""]}",active,granted,'
        "2025-01-02T03:04:05+00:00,fair\n"
        "bob@example.org,'quoted,,unsubscribed,denied,2025-01-02T03:04:05+00:00,\n"
        "jürgen@bücher.org,-1,,pending,,2025-01-02T03:04:05+00:00,\n"
    )
    first, second = desk.folder / "first.csv", desk.folder / "second.csv"
    with desk.sessions.reading() as session:
        assert export(session, Selection(desk.list_id), first) == 3
    assert "\"'=HYPERLINK" in first.read_text() or "'=HYPERLINK" in first.read_text()
    folder = tmp_path_factory.mktemp("elsewhere")
    shutil.copy(sqlite_template, folder / "newsletter.db")
    elsewhere = Desk(connect(f"sqlite:///{folder / 'newsletter.db'}"), folder)
    assert elsewhere.run(first.read_bytes()).counts == {Fate.ADDED: 3}
    with elsewhere.sessions.reading() as session:
        export(session, Selection(elsewhere.list_id), second)
    elsewhere.sessions.engine.dispose()
    assert second.read_text() == first.read_text()


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@x", "'=1", "''", "\tx", "plain", "", "'x"])
def test_a_cell_is_never_a_formula_and_reads_back(tmp_path: Path, cell: str) -> None:
    file = tmp_path / "x.csv"
    writer = CsvWriter(file, ("email", "name"))
    writer.write(["a@example.org", cell])
    writer.close()
    assert not csv_files.escaped(cell).startswith(("=", "+", "-", "@", "\t"))
    with file.open("rb") as stream:
        (row,) = csv_files.CsvFile(stream, "x.csv").rows()
    assert row.cells["name"].strip() == cell.strip()
