"""Blocklists: other systems' files read, ours written and read back the same."""

from pathlib import Path

import pytest
from sqlalchemy import delete

from newsletter.core.db import Sessions
from newsletter.core.erasure_key import ErasureKey
from newsletter.core.errors import InputError
from subscribers import blocklists, suppressions
from subscribers.blocklists import BlocklistReport, Fate, export_blocklist, import_blocklist
from subscribers.models import EVERYWHERE, Suppression, SuppressionReason
from tests import factories

KEY = ErasureKey(b"an erasure key of the tests, long enough")
R = SuppressionReason


def kept(sessions: Sessions) -> set[tuple[object, ...]]:
    with sessions.reading() as session:
        return {
            (row.key, row.list_id, row.reason, row.source, row.created_at)
            for row in suppressions.each_suppression(session)
        }


def keys(sessions: Sessions) -> dict[str, SuppressionReason]:
    with sessions.reading() as session:
        return {row.key: row.reason for row in suppressions.each_suppression(session)}


def imported(sessions: Sessions, tmp_path: Path, content: str | bytes) -> BlocklistReport:
    file = tmp_path / "blocked.csv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return import_blocklist(sessions, file)


def test_all_that_is_exported_is_imported_to_the_same(sessions: Sessions, tmp_path: Path) -> None:
    with sessions.writing() as session:
        readers = factories.a_list(session)
        for key, list_id, reason, source in (
            ("ada@example.org", EVERYWHERE, R.COMPLAINT, '=cmd("x")'),
            ("ada@example.org", readers.id, R.MANUAL, "command"),
            ("=2+5@example.org", EVERYWHERE, R.GONE, "delivery 7"),
            (suppressions.domain_suppression("xn--bcher-kva.org"), readers.id, R.MANUAL, "x, y"),
            (suppressions.erased_suppression(KEY, "bob@example.org"), 0, R.ERASED, "erasure"),
        ):
            suppressions.suppress(session, key, reason=reason, source=source, list_id=list_id)
    before, file = kept(sessions), tmp_path / "out.csv"
    with sessions.reading() as session:
        assert export_blocklist(session, file) == 5
    assert "\n=" not in file.read_text()
    assert ",=" not in file.read_text()
    assert +import_blocklist(sessions, file).counts == {Fate.KNOWN: 5}
    with sessions.writing() as session:
        session.execute(delete(Suppression))
    assert +import_blocklist(sessions, file).counts == {Fate.ADDED: 5}
    assert kept(sessions) == before


def test_one_address_on_each_line_is_enough(sessions: Sessions, tmp_path: Path) -> None:
    lines = (
        "\ufeffAda@Example.org\r\n\r\n@bücher.org\r\nnobody\r\nbob@example.org, cyd@example.org\r\n"
    )
    report = imported(sessions, tmp_path, lines)
    assert keys(sessions) == {"ada@example.org": R.MANUAL, "@xn--bcher-kva.org": R.MANUAL}
    assert [problem.split(": ")[0] for problem in report.first_problems] == [
        *("blocked.csv:4", "blocked.csv:5")
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("email;reason\nada@example.org;hard_bounce\n", {"ada@example.org": R.GONE}),
        ("Email Address,Reason\nada@example.org,Spam\n", {"ada@example.org": R.COMPLAINT}),
        (
            "domain\nexample.org\n@example.net\n",
            {"@example.org": R.MANUAL, "@example.net": R.MANUAL},
        ),
        ("address,created\nada@example.org,2024-02-29 10:00:00\n", {"ada@example.org": R.MANUAL}),
    ],
)
def test_other_systems_files_are_understood(
    sessions: Sessions, tmp_path: Path, content: str, expected: dict[str, SuppressionReason]
) -> None:
    assert not imported(sessions, tmp_path, content).first_problems
    assert keys(sessions) == expected


def test_a_date_is_kept_and_the_first_reason_stays(sessions: Sessions, tmp_path: Path) -> None:
    imported(sessions, tmp_path, "email,reason,date\nada@example.org,bounce,2024-02-29\n")
    again = imported(sessions, tmp_path, "email,reason\nADA@example.org,spam\n")
    assert +again.counts == {Fate.KNOWN: 1}
    ((key, _, reason, source, created_at),) = kept(sessions)
    assert (key, reason, source) == ("ada@example.org", R.GONE, "import blocked.csv:2")
    assert str(created_at) == "2024-02-29 00:00:00+00:00"


def test_times_are_read_as_in_files_of_people(sessions: Sessions, tmp_path: Path) -> None:
    rows = "ada@example.org,2024-02-29 08:00:00 UTC\nbob@example.org,9999-01-01\n"
    report = imported(sessions, tmp_path, f"email,date\n{rows}")
    ((key, *_, created_at),) = kept(sessions)
    assert (key, str(created_at)) == ("ada@example.org", "2024-02-29 08:00:00+00:00")
    assert "in the years 1900 to 2199" in report.first_problems[0]


def test_bad_rows_are_named_with_line_and_reason_and_stop_nothing(
    sessions: Sessions, tmp_path: Path
) -> None:
    report = imported(
        sessions,
        tmp_path,
        "email,reason,list,date\n"
        "ada@example.org,bored,,\n"
        "ada@example.org,,elsewhere,\n"
        "ada@example.org,,,yesterday\n"
        "#1234,,,\n"
        "@-x-,,,\n"
        "bob@example.org,,,\n",
    )
    assert +report.counts == {Fate.BAD: 5, Fate.ADDED: 1}
    assert [problem.split(": ")[:2] for problem in report.first_problems] == [
        ["blocked.csv:2", "reason"],
        ["blocked.csv:3", "list"],
        ["blocked.csv:4", "date"],
        ["blocked.csv:5", "email"],
        ["blocked.csv:6", "email"],
    ]


def test_a_rehearsal_counts_and_changes_nothing(
    sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocklists, "_CHUNK_ROWS", 2)
    file = tmp_path / "blocked.txt"
    file.write_text("".join(f"r{n % 3}@example.org\n" for n in range(5)))
    counts = {Fate.ADDED: 3, Fate.KNOWN: 2}
    assert +import_blocklist(sessions, file, rehearse=True).counts == counts
    assert kept(sessions) == set()
    assert +import_blocklist(sessions, file).counts == counts


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("name,age\nada,7\n", "expected a column `address`, found name, age"),
        (b"email\n\xff\xfe\n", "expected UTF-8"),
        (b"ada@example.org\nbob\0@example.org\n", "NUL"),
        ("", "expected a header"),
    ],
)
def test_what_is_no_blocklist_is_refused(
    sessions: Sessions, tmp_path: Path, content: str | bytes, problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        imported(sessions, tmp_path, content)


def test_rows_without_a_list_are_for_the_list_that_is_named(
    sessions: Sessions, tmp_path: Path
) -> None:
    with sessions.writing() as session:
        readers = factories.a_list(session)
    file = tmp_path / "blocked.txt"
    file.write_text("ada@example.org\n")
    import_blocklist(sessions, file, readers.id)
    with sessions.reading() as session:
        assert [row.list_id for row in suppressions.each_suppression(session, readers.id)] == [
            readers.id
        ]
        assert not suppressions.is_suppressed(session, "ada@example.org")


def test_they_are_read_page_by_page(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppressions, "_PAGE_ROWS", 2)
    with sessions.writing() as session:
        for number in range(5):
            suppressions.suppress(session, f"r{number}@example.org", reason=R.MANUAL, source="x")
    with sessions.reading() as session:
        found = [row.key for row in suppressions.each_suppression(session)]
    assert found == [f"r{number}@example.org" for number in range(5)]


def test_who_was_erased_is_not_written_down_again_by_a_blocklist(
    sessions: Sessions, tmp_path: Path
) -> None:
    hashed = suppressions.erased_suppression(KEY, "ada@example.org")
    with sessions.writing() as session:
        suppressions.suppress(session, hashed, reason=R.ERASED, source="erasure")
    file = tmp_path / "blocked.txt"
    file.write_text(f"Ada@example.org\nbob@example.org\n@example.net\n{hashed}\n")
    counts = {Fate.ADDED: 2, Fate.KNOWN: 1, Fate.ERASED: 1}
    assert +import_blocklist(sessions, file, erased=KEY, rehearse=True).counts == counts
    assert +import_blocklist(sessions, file, erased=KEY).counts == counts
    assert set(keys(sessions)) == {hashed, "bob@example.org", "@example.net"}
