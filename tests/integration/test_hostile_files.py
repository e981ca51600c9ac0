"""Files that want to break the import, or use it: refused with their place, in little memory."""

import contextlib
import io
import os
import struct
import subprocess
import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from newsletter.core.db import Sessions
from newsletter.core.erasure_key import ErasureKey
from newsletter.core.errors import InputError
from subscribers.files.people_files import Good, Reading, opened
from subscribers.files.zip_files import MAX_ENTRIES
from subscribers.imports.fates import Fate
from subscribers.imports.importing import import_file
from subscribers.imports.options import ImportOptions
from subscribers.models import Subscriber, Subscription, SuppressionReason
from subscribers.suppressions import domain_suppression, erased_suppression, suppress
from tests import factories

HEADER = "Email Address,OPTIN_TIME,CONFIRM_TIME\n"
ERASED = ErasureKey(b"a key of the tests, never another one")


def zipped(file: Path, *members: tuple[str, bytes], method: int = ZIP_DEFLATED) -> Path:
    with ZipFile(file, "w", method) as packed:
        for name, data in members:
            packed.writestr(name, data)
    return file


def read(file: Path, **reading: object) -> list[str]:
    """The addresses of a file, read without a database."""
    with opened(file, Reading(**reading)) as people:  # type: ignore[arg-type]
        rows = [row for row in people.rows() if isinstance(row, Good)]
    return [person.address.key for row in rows for person in row.people]


def refused(file: Path) -> str:
    with pytest.raises(InputError) as caught:
        read(file)
    return str(caught.value).removeprefix(f"{file.parent}/")


def test_a_bomb_is_refused_by_its_ratio(tmp_path: Path) -> None:
    bomb = zipped(tmp_path / "a.zip", ("subscribed.csv", HEADER.encode() + b"\n" * 50_000_000))
    assert bomb.stat().st_size < 100_000
    assert "a.zip/subscribed.csv: expected less than 200 times" in refused(bomb)


def test_a_bomb_of_entries_that_lie_over_each_other_is_refused(tmp_path: Path) -> None:
    """Each looks harmless; together they unpack to more than the file could hold."""
    one = os.urandom(10_000).hex().encode()
    file = zipped(tmp_path / "a.zip", ("subscribed.csv", one * 90))
    data = file.read_bytes()
    start = data.index(b"PK\x01\x02")
    entry = data[start : data.index(b"PK\x05\x06")]
    many = 90
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, many, many, many * len(entry), start, 0)
    file.write_bytes(data[:start] + entry * many + end)
    assert "expected a ZIP that unpacks to less" in refused(file)


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ("audience.zip", "a ZIP inside a ZIP"),
        ("posts.html", "expected CSV files only"),
    ],
)
def test_what_is_no_table_is_refused_with_its_name(
    tmp_path: Path, member: str, expected: str
) -> None:
    file = zipped(tmp_path / "a.zip", (member, b"x"))
    assert refused(file).startswith(f"a.zip/{member}: {expected}")


def test_names_that_climb_out_of_the_folder_are_names_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    member = ("../../subscribed.csv", f"{HEADER}ada@example.org,,\n".encode())
    assert read(zipped(folder / "a.zip", member)) == ["ada@example.org"]
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "a.zip"]


def test_a_zip_of_too_many_entries_is_refused_before_they_are_read(tmp_path: Path) -> None:
    members = [(f"{n}.csv", b"") for n in range(MAX_ENTRIES + 1)]
    assert "at most 100 entries, found 101" in refused(zipped(tmp_path / "a.zip", *members))


def test_a_zip_that_is_cut_off_or_broken_is_refused(tmp_path: Path) -> None:
    table = HEADER + "".join(f"{os.urandom(8).hex()}@example.org,,\n" for _ in range(500))
    whole = zipped(tmp_path / "a.zip", ("subscribed.csv", table.encode())).read_bytes()
    (tmp_path / "a.zip").write_bytes(whole[: len(whole) // 2])
    assert "it is not whole" in refused(tmp_path / "a.zip")
    (tmp_path / "a.zip").write_bytes(whole[:200] + b"\xff" * 50 + whole[250:])
    assert "a.zip/subscribed.csv: cannot be unpacked" in refused(tmp_path / "a.zip")
    (tmp_path / "a.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    assert "expected CSV files in the ZIP, found none" in refused(tmp_path / "a.zip")


def test_a_zip_with_a_password_is_refused(tmp_path: Path) -> None:
    file = zipped(tmp_path / "a.zip", ("subscribed.csv", b"x"), method=ZIP_STORED)
    data = bytearray(file.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    file.write_bytes(data)
    assert "without a password" in refused(file)


def test_a_larger_zip_format_is_refused(tmp_path: Path) -> None:
    zipped(tmp_path / "a.zip", ("subscribed.csv", HEADER.encode()))
    data = (tmp_path / "a.zip").read_bytes()
    end = data.index(b"PK\x05\x06")
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    (tmp_path / "a.zip").write_bytes(data[:end] + locator + data[end:])
    assert "4 GiB" in refused(tmp_path / "a.zip")


def test_a_line_of_a_gigabyte_is_refused_in_little_memory(tmp_path: Path) -> None:
    """The file is a hole of zeros behind a header: it weighs nothing on the disk."""
    file = tmp_path / "people.csv"
    with file.open("wb") as stream:
        stream.write(b"email\n")
        stream.truncate(2**30)
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from newsletter.core.errors import InputError\n"
        "from subscribers.files.people_files import Reading, opened\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        "    with opened(Path(sys.argv[1]), Reading()) as people:\n"
        "        list(people.rows())\n"
        "except InputError as error:\n"
        "    print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, file], capture_output=True, text=True, check=True
    )
    said, grown_kb = done.stdout.splitlines()
    assert said.endswith("people.csv:2: expected lines of at most 1,000,000 bytes")
    assert int(grown_kb) < 20_000


def test_a_row_that_goes_on_over_many_lines_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("email\n" + '"a\n",' * 400_000)
    assert "expected rows of at most 1,000,000 bytes" in refused(file)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "p.csv").write_bytes("\ufeffemail\n".encode(encoding))
    assert refused(tmp_path / "p.csv").startswith("p.csv:1: expected UTF-8, found UTF-16")


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=300)
    | st.tuples(
        st.sampled_from(
            [
                b"email,name,attributes,status,subscribed_at,history,suppressed\n",
                b"uuid,email,name,attributes,status,created_at\n",
                b"email,active_subscription,email_disabled,created_at\n",
                b'{"email": "ada@example.org", "subscriptions": ',
                b"PK\x03\x04",
            ]
        ),
        st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode(errors="replace")),
    ).map(b"".join)
)
def test_whatever_stands_in_a_file_it_is_read_or_refused_in_a_sentence(
    tmp_path: Path, data: bytes
) -> None:
    (tmp_path / "x").write_bytes(data)
    with contextlib.suppress(InputError):  # whatever else is raised fails the test
        read(tmp_path / "x")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"Mail": "email"}, "there is no column 'Mail' in .*; there are: E-Mail, Vorname, x"),
        ({"E-Mail": "email", "x": "email"}, "two columns for email"),
    ],
)
def test_a_map_that_does_not_fit_is_refused(
    tmp_path: Path, columns: dict[str, str], expected: str
) -> None:
    (tmp_path / "p.csv").write_text("E-Mail,Vorname,x\na@example.org,Ada,1\n")
    with pytest.raises(InputError, match=expected):
        read(tmp_path / "p.csv", columns=columns)


def test_columns_are_what_the_operator_says(sessions: Sessions, tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_text("E-Mail;Vorname;Gehalt;Stadt;Seit\na@example.org;Ada;9;Rom;2020-01-02\n")
    with pytest.raises(InputError, match="name yours, such as --map 'E-Mail=email'"):
        read(file)
    columns = {"e-mail": "email", "Vorname": "first_name", "Gehalt": "-", "Seit": "subscribed_at"}
    with sessions.writing() as session:
        readers = factories.a_list(session)
    options = ImportOptions(reading=Reading(columns=columns))
    import_file(sessions, file, lambda _: readers.id, options)
    with sessions.reading() as session:
        person = session.scalars(select(Subscriber)).one()
        since = session.scalars(select(Subscription.subscribed_at)).one()
    assert (person.name, person.attributes) == ("Ada", {"stadt": "Rom"})
    assert since.isoformat() == "2020-01-02T00:00:00+00:00"


def test_a_preset_can_be_forced_and_has_to_fit(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_text("email,status\nada@example.org,active\n")
    assert read(file, preset="own") == ["ada@example.org"]
    with pytest.raises(InputError, match=r"p\.csv:1: expected the columns of ghost: email"):
        read(file, preset="ghost")
    with pytest.raises(InputError, match="--preset: expected one of buttondown, ghost, keila"):
        read(file, preset="lismonk")


def test_a_file_whose_status_nobody_can_know_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text(HEADER)
    assert "expected a column status in a file of mailchimp, or a file named" in refused(file)
    file.write_text("email,active_subscription\n")
    assert "expected a column email_disabled in a file of substack" in refused(file)


@pytest.mark.parametrize("column", ["Unsubscribed", "opt-out", "Subscribed", "State", "Bounced"])
def test_a_column_that_may_say_who_left_is_never_just_an_attribute(
    tmp_path: Path, column: str
) -> None:
    file = tmp_path / "people.csv"
    file.write_text(f"email,{column}\nada@example.org,yes\n")
    assert "may say who left" in refused(file)
    assert read(file, columns={column: "-"}) == ["ada@example.org"]


def test_of_whom_was_erased_nothing_enters_again(sessions: Sessions, tmp_path: Path) -> None:
    with sessions.writing() as session:
        readers = factories.a_list(session)
        for address in ("ada@example.org", "bob@example.org"):
            key = erased_suppression(ERASED, address)
            suppress(session, key, reason=SuppressionReason.ERASED, source="command")
    file, bad = tmp_path / "people.csv", tmp_path / "bad.csv"
    file.write_text(
        "email,status\nADA@example.org,active\nbob@example.org,nonsense\ncyd@example.org,\n"
        "dee@example.org,nonsense\n"
    )
    options = ImportOptions(erased=ERASED, bad_rows=bad)
    report = import_file(sessions, file, lambda _: readers.id, options)
    assert report.counts == {Fate.KEPT_ERASED: 2, Fate.ADDED: 1, Fate.BAD: 1}
    assert not any("bob" in problem for problem in report.first_problems)
    assert "dee@example.org" in bad.read_text()
    assert "bob" not in bad.read_text()
    with sessions.reading() as session:
        assert list(session.scalars(select(Subscriber.address_key))) == ["cyd@example.org"]
    assert b"ada@example.org" not in _dump(sessions).lower()


def test_the_bad_rows_of_a_zip_import_again_however_its_headers_are_spelt(
    sessions: Sessions, tmp_path: Path
) -> None:
    with sessions.writing() as session:
        readers = factories.a_list(session)
    rows = b"Email Address,OPTIN_TIME,CONFIRM_TIME,First Name\nbad,,,Ada\n"
    others = b"EMAIL ADDRESS,Optin_Time,CONFIRM_TIME,Status\nworse,,,unsubscribed\n"
    file, bad = tmp_path / "a.zip", tmp_path / "bad.csv"
    zipped(file, ("subscribed.csv", rows), ("unsubscribed.csv", others))
    options = ImportOptions(bad_rows=bad)
    assert import_file(sessions, file, lambda _: readers.id, options).counts == {Fate.BAD: 2}
    text = bad.read_text().replace("worse", "bob@example.org").replace("bad", "ada@example.org")
    mended = tmp_path / "mended.csv"
    mended.write_text(text)
    assert import_file(sessions, mended, lambda _: readers.id).counts == {Fate.ADDED: 2}
    with sessions.reading() as session:
        found = select(Subscriber.address_key, Subscription.status).join(Subscription)
        assert dict(session.execute(found).all()) == {
            "ada@example.org": "active",
            "bob@example.org": "unsubscribed",
        }


def test_who_is_suppressed_by_domain_or_for_the_list_is_counted_so(
    sessions: Sessions, tmp_path: Path
) -> None:
    with sessions.writing() as session:
        readers, others = factories.a_list(session), factories.a_list(session, "Others")
        manual = SuppressionReason.MANUAL
        suppress(session, domain_suppression("example.net"), reason=manual, source="x")
        suppress(session, "bob@example.org", reason=manual, source="x", list_id=readers.id)
        suppress(session, "cyd@example.org", reason=manual, source="x", list_id=others.id)
    file = tmp_path / "people.csv"
    file.write_text(
        "email\nada@example.net\nada@sub.example.net\nbob@example.org\ncyd@example.org\n"
    )
    report = import_file(sessions, file, lambda _: readers.id)
    assert report.counts == {Fate.KEPT_SUPPRESSED: 2, Fate.ADDED: 2}


def _dump(sessions: Sessions) -> bytes:
    """Every value of every table."""
    dumped = io.StringIO()
    with sessions.reading() as session:
        for table in ("subscribers", "subscriptions", "consent_events", "suppressions"):
            for row in session.execute(text(f"SELECT * FROM {table}")):
                print(*row, file=dumped)
    return dumped.getvalue().encode()
