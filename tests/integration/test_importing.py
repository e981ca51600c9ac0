"""CSV in and out: streamed, idempotent, tolerant of programs, strict with addresses."""

import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from newsletter.core.clock import now
from newsletter.core.db import Sessions, connect
from newsletter.core.errors import InputError
from subscribers import csv_files, engagement, importing, intake, subscriptions
from subscribers.audience import count_audience
from subscribers.bulk import Others
from subscribers.engagement import Note
from subscribers.exporting import Selection, export
from subscribers.fates import Fate
from subscribers.importing import CHUNK_ROWS, ImportOptions, ImportReport, import_file
from subscribers.models import (
    ConsentChange,
    ConsentEvent,
    Engagement,
    Subscriber,
    SubscriberList,
    Subscription,
    SubscriptionStatus,
    Suppression,
    SuppressionReason,
    TrackingConsent,
)
from subscribers.suppressions import suppress
from subscribers.whole_files import CsvWriter
from tests import factories

UNSUBSCRIBED = SubscriptionStatus.UNSUBSCRIBED


class Desk:
    """A list and a folder to import from."""

    def __init__(self, sessions: Sessions, folder: Path) -> None:
        self.sessions = sessions
        self.folder = folder
        with sessions.writing() as session:
            self.list_id = factories.a_list(session).id

    def run(self, text: str | bytes, name: str = "people.csv", **options: object) -> ImportReport:
        file = self.folder / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return import_file(self.sessions, file, self.find_list, ImportOptions(**options))  # type: ignore[arg-type]

    def find_list(self, session: Session) -> int:
        del session
        return self.list_id

    def standing(self) -> dict[str, tuple[str, str]]:
        """Address key -> (status, tracking consent)."""
        with self.sessions.reading() as session:
            rows = session.execute(
                select(Subscriber.address_key, Subscription.status, Subscription.tracking_consent)
                .join(Subscription)
                .order_by(Subscriber.id)
            )
            return {key: (str(status), str(consent)) for key, status, consent in rows}


@pytest.fixture
def desk(sessions: Sessions, tmp_path: Path) -> Desk:
    return Desk(sessions, tmp_path)


def test_the_shipped_example_imports_and_is_as_described(desk: Desk) -> None:
    text = (factories.EXAMPLES / "subscribers.csv").read_bytes()
    report = desk.run(text)
    standing = desk.standing()
    assert report.counts == {Fate.ADDED: len(standing)}
    assert len(standing) >= 12
    assert {consent for _, consent in standing.values()} == {"granted", "denied", "unknown"}
    assert all(key.endswith("@example.org") for key in standing)


def test_every_column_is_kept_with_its_evidence(desk: Desk) -> None:
    desk.run(
        "email,name,locale,time_zone,attributes,status,tracking_consent,subscribed_at,evidence\n"
        'Ada@Example.org,Ada,de,Europe/Berlin,"{""plan"": ""pro""}",active,granted,'
        "2025-01-02T03:04:05+00:00,Signed up at the fair\n"
    )
    with desk.sessions.reading() as session:
        person = session.scalars(select(Subscriber)).one()
        subscription = session.scalars(select(Subscription)).one()
        event, tracking = session.scalars(select(ConsentEvent).order_by(ConsentEvent.id)).all()
    assert (person.email, person.name, person.locale) == ("Ada@example.org", "Ada", "de")
    assert (person.time_zone, person.attributes) == ("Europe/Berlin", {"plan": "pro"})
    assert subscription.subscribed_at.isoformat() == "2025-01-02T03:04:05+00:00"
    assert subscription.tracking_consent is TrackingConsent.GRANTED
    assert (event.method, event.source) == ("import", "people.csv:2")
    assert event.wording == tracking.wording == "Signed up at the fair"
    assert tracking.change is ConsentChange.TRACKING_GRANTED


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


def test_who_signs_up_while_a_file_is_imported_is_there_once(
    postgresql: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look for known people and their addition; on SQLite nobody else writes then."""
    desk = Desk(postgresql, tmp_path)
    asked = intake._Part._known

    def ask_and_be_overtaken(part: intake._Part) -> Any:
        known = asked(part)
        monkeypatch.setattr(intake._Part, "_known", asked)
        with desk.sessions.writing() as session:
            readers = session.get_one(SubscriberList, desk.list_id)
            factories.subscribed(session, readers, ["ada@example.org"])
            factories.person(session, "bob@example.org", "Bobby")
        return known

    monkeypatch.setattr(intake._Part, "_known", ask_and_be_overtaken)
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


def test_a_file_of_whose_rows_some_are_pending_says_so(desk: Desk) -> None:
    report = desk.run("email,status\nada@example.org,pending\nbob@example.org,active\n")
    assert report.line() == "2 rows: 2 added (1 active, 1 pending)."


def test_a_suppression_ends_the_subscription_and_stays_with_its_source(desk: Desk) -> None:
    desk.run("email\nada@example.org\n")
    text = "email,status,suppressed\nada@example.org,unsubscribed,complaint\n"
    assert desk.run(text).counts == {Fate.SUPPRESSED: 1}
    assert desk.run(text).counts == {Fate.PRESENT: 1}
    with desk.sessions.reading() as session:
        (kept,) = session.scalars(select(Suppression))
    assert (kept.key, kept.reason) == ("ada@example.org", SuppressionReason.COMPLAINT)
    assert kept.source == "import people.csv:2"
    assert desk.standing()["ada@example.org"][0] == "unsubscribed"


def test_other_columns_become_attributes_and_what_attributes_say_counts(desk: Desk) -> None:
    desk.run(
        "email,First Name,last-name,Favourite colour,plan,attributes,tags,,error\n"
        'ada@example.org,Ada,Reader,green,free,"{""plan"": ""pro""}","a, b,a",x,was bad\n'
    )
    with desk.sessions.reading() as session:
        person = session.scalars(select(Subscriber)).one()
    assert person.name == "Ada Reader"
    assert person.attributes == {"favourite_colour": "green", "plan": "pro", "tags": ["a", "b"]}


def test_somebody_who_left_there_has_left_here_without_a_status(desk: Desk) -> None:
    desk.run("email,unsubscribed_at\nada@example.org,2025-01-02\nbob@example.org,\n")
    assert {key: status for key, (status, _) in desk.standing().items()} == {
        "ada@example.org": "unsubscribed",
        "bob@example.org": "active",
    }


def test_who_left_or_is_suppressed_is_never_revived(desk: Desk) -> None:
    desk.run("email\nada@example.org\nbob@example.org\n")
    with desk.sessions.writing() as session:
        ada = factories.person(session, "ada@example.org")
        subscription = subscriptions.find_subscription(session, ada.id, desk.list_id)
        assert subscription
        subscriptions.end(session, subscription, factories.EVIDENCE)
        for key in ("bob@example.org", "new@example.org"):
            suppress(session, key, reason=SuppressionReason.COMPLAINT, source="test")
    again = "ADA@example.org,active\nbob@example.org,active\nnew@example.org,\n"
    report = desk.run(f"email,status\n{again}")
    assert report.counts == {
        Fate.KEPT_UNSUBSCRIBED: 1,
        Fate.PRESENT: 1,
        Fate.KEPT_SUPPRESSED: 1,
    }
    assert desk.standing()["ada@example.org"][0] == "unsubscribed"
    with desk.sessions.reading() as session:
        counted = count_audience(session, [desk.list_id])
    assert (counted.mailable, counted.excluded) == (0, {"unsubscribed": 1, "suppressed": 2})


def test_a_file_may_take_away_but_not_give_back(desk: Desk) -> None:
    desk.run("email,tracking_consent\nada@example.org,granted\nbob@example.org,denied\n")
    report = desk.run(
        "email,status,tracking_consent\nada@example.org,unsubscribed,denied\n"
        "bob@example.org,active,granted\n"
    )
    assert report.counts == {Fate.ENDED: 1, Fate.PRESENT: 1}
    assert desk.standing() == {
        "ada@example.org": ("unsubscribed", "denied"),
        "bob@example.org": ("active", "denied"),
    }


def test_a_rehearsal_counts_and_changes_nothing(desk: Desk) -> None:
    report = desk.run("email\nada@example.org\nbad\n", rehearse=True, bad_rows=desk.folder / "bad")
    assert report.counts == {Fate.ADDED: 1, Fate.BAD: 1}
    assert desk.standing() == {}
    assert not (desk.folder / "bad").exists()


@pytest.mark.parametrize("apart", [0, CHUNK_ROWS + 5])
@pytest.mark.parametrize("rehearse", [True, False])
def test_a_later_row_about_the_same_address_counts_the_same_near_and_far(
    desk: Desk, apart: int, rehearse: bool
) -> None:
    between = "".join(f"r{n}@example.org,active,\n" for n in range(apart))
    report = desk.run(
        "email,status,tracking_consent\nada@example.org,active,granted\nbob@example.org,,\n"
        "cyd@example.org,unsubscribed,\n"
        f"{between}ADA@example.org,unsubscribed,denied\nbob@example.org,,\n"
        "cyd@example.org,active,\nada@example.org,active,granted\n",
        rehearse=rehearse,
    )
    assert report.counts == {
        Fate.ADDED: 3 + apart,
        Fate.ENDED: 1,
        Fate.PRESENT: 1,
        Fate.KEPT_UNSUBSCRIBED: 2,
    }
    standing = desk.standing()
    if rehearse:
        assert standing == {}
        return
    assert standing["ada@example.org"] == ("unsubscribed", "denied")
    assert standing["bob@example.org"] == ("active", "unknown")
    assert standing["cyd@example.org"] == ("unsubscribed", "unknown")


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


def test_unconfirmed_people_still_have_to_confirm(desk: Desk) -> None:
    desk.run(
        "email,status\nada@example.org,active\nbob@example.org,unsubscribed\n", unconfirmed=True
    )
    assert desk.standing() == {
        "ada@example.org": ("pending", "unknown"),
        "bob@example.org": ("unsubscribed", "unknown"),
    }


def test_who_still_has_to_confirm_has_not_agreed_to_be_tracked(desk: Desk) -> None:
    desk.run(
        "email,status,tracking_consent\nada@example.org,active,granted\n"
        "bob@example.org,active,denied\ncyd@example.org,pending,granted\n",
        unconfirmed=True,
    )
    assert desk.standing() == {
        "ada@example.org": ("pending", "unknown"),
        "bob@example.org": ("pending", "denied"),
        "cyd@example.org": ("pending", "unknown"),
    }


def test_evidence_says_no_more_than_the_file_does(desk: Desk) -> None:
    desk.run(
        "email,status,opt_in_at,tracking_consent\nada@example.org,active,,granted\n"
        "bob@example.org,unsubscribed,2025-01-02,\ncyd@example.org,pending,,denied\n"
    )
    desk.run("email,status\nada@example.org,unsubscribed\n")
    with desk.sessions.reading() as session:
        said = session.execute(
            select(Subscriber.address_key, ConsentEvent.change, ConsentEvent.wording)
            .join(Subscriber)
            .order_by(ConsentEvent.id)
        ).all()
    left = "The file says that they left."
    assert [(key[:3], str(change), wording) for key, change, wording in said] == [
        ("ada", "subscribed", "The operator states that these people agreed to be mailed."),
        ("ada", "tracking_granted", "The file says that they agreed to be measured."),
        ("bob", "subscribed", left),
        ("bob", "unsubscribed", left),
        ("cyd", "requested", "The file says that they asked and have not confirmed."),
        ("cyd", "tracking_denied", "The file says that they refused to be measured."),
        ("ada", "unsubscribed", left),
    ]


def test_from_where_somebody_agreed_is_kept_without_its_time(desk: Desk) -> None:
    desk.run(
        "email,status,opt_in_ip,confirm_ip\nada@example.org,active,192.0.2.1,192.0.2.2\n"
        "bob@example.org,unsubscribed,192.0.2.3,\ncyd@example.org,pending,192.0.2.4,192.0.2.5\n"
    )
    with desk.sessions.reading() as session:
        events = session.scalars(select(ConsentEvent).order_by(ConsentEvent.id)).all()
    assert [(str(event.change), event.ip) for event in events] == [
        ("requested", "192.0.2.1"),
        ("confirmed", "192.0.2.2"),
        ("subscribed", "192.0.2.3"),
        ("unsubscribed", ""),
        ("requested", "192.0.2.4"),
    ]


def test_who_refuses_tracking_on_another_list_is_not_known_by_it_any_more(desk: Desk) -> None:
    with desk.sessions.writing() as session:
        first = factories.a_list(session, "First", factories.stored_issue(session))
        readers = session.get_one(SubscriberList, desk.list_id)
        readers.newsletter_id = first.newsletter_id
        assert first.newsletter_id
        for address in ("ada@example.org", "bob@example.org"):
            (one,) = factories.subscribed(session, first, [address], TrackingConsent.GRANTED)
            note = Note(first.newsletter_id, one.subscriber_id, opened_at=now())
            engagement.noted(session, [note])
    desk.run("email,tracking_consent\nada@example.org,denied\nbob@example.org,granted\n")
    with desk.sessions.reading() as session:
        known = session.scalars(
            select(Subscriber.address_key).join(
                Engagement, Engagement.subscriber_id == Subscriber.id
            )
        ).all()
    assert known == ["bob@example.org"]


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
        ('email\n"open\n', r"people\.csv:\d: not CSV"),
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


def test_what_came_before_the_broken_line_is_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "CHUNK_ROWS", 2)
    with pytest.raises(InputError, match=r":6:"):
        desk.run(b"email\na@example.org\nb@example.org\nc@example.org\nd@example.org\n\xff\n")
    assert len(desk.standing()) == 4


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
