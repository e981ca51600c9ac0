"""Bringing people in at the desk: upload, what would be, yes, what was, and nobody else's."""

from collections.abc import Callable
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from sqlalchemy import select

from newsletter.accounts import audit
from newsletter.accounts.permissions import Role
from newsletter.issues.models import Newsletter
from newsletter.issues.newsletters import add_newsletter
from newsletter.jobs import imports
from subscribers import lists, subscriptions, suppressions
from subscribers.imports.runs.models import MAX_FILE_NAME_CHARACTERS, ImportRun
from subscribers.imports.runs.uploading import plain_file_name
from subscribers.models import (
    EVERYWHERE,
    Subscriber,
    SubscriberList,
    Subscription,
    Suppression,
    SuppressionReason,
)
from tests import factories
from tests.desk import ORIGIN, Seat
from tests.moving import DATA, MOVES

PEOPLE = "email,name\nada@example.org,Ada\nbob@example.org,Bob\nnope,=cmd()\n"


@pytest.fixture
def readers(seat: Seat) -> int:
    with seat.sessions.writing() as session:
        return lists.create_list(session, "Readers", seat.newsletter_id).id


def send(
    seat: Seat, list_id: int, content: str | bytes, name: str = "people.csv", **fields: str
) -> str:
    """The path of the import's page."""
    body = content if isinstance(content, bytes) else content.encode()
    said = {"list": str(list_id), **fields}
    answer = seat.post("/imports", said, files={"file": (name, BytesIO(body))})
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def said_yes(seat: Seat, path: str) -> dict[str, str]:
    """What the button sends: the rehearsal that its page shows."""
    return {"seen": seat.page(path).partition('name="seen" value="')[2].partition('"')[0]}


def refused(seat: Seat, list_id: int, content: bytes, name: str) -> str:
    answer = seat.post("/imports", {"list": str(list_id)}, files={"file": (name, BytesIO(content))})
    assert answer.status_code == 422
    return str(answer.text)


def standing(seat: Seat) -> dict[str, str]:
    with seat.sessions.reading() as session:
        found = select(Subscriber.address_key, Subscription.status).join(Subscription)
        return {key: str(status) for key, status in session.execute(found)}


def test_a_file_is_checked_imported_and_its_bad_rows_are_fetched(seat: Seat, readers: int) -> None:
    assert "Nothing imported yet" in seat.read("/imports")
    path = send(seat, readers, PEOPLE)
    assert "The file is being checked." in seat.read(path)
    imports.work(seat.runtime)
    said = seat.read(path)
    assert "2 people would join and get the next issue" in said
    assert "1 row cannot be read and would be left out" in said
    assert "people.csv:2 ada@example.org" in said
    assert "people.csv:4 email: 'nope'" in said
    assert "Import 2 people" in said, "bad rows are no people"
    assert standing(seat) == {}
    assert "The file is being imported." in seat.done(f"{path}/start", said_yes(seat, path))
    imports.work(seat.runtime)
    said = seat.read(path)
    assert "2 people joined and get the next issue" in said
    assert standing(seat) == {"ada@example.org": "active", "bob@example.org": "active"}
    fetched = seat.post(f"{path}/bad-rows")
    assert fetched.headers["content-disposition"].endswith('bad-rows.csv"')
    assert fetched.text.splitlines()[1].startswith("nope,'=cmd(),")
    assert "people.csv" in seat.read("/imports")
    with seat.sessions.reading() as session:
        trail = audit.trail(session)
    assert [event.action for event in reversed(trail)] == [
        *("import.uploaded", "import.started", "import.done", "import.bad_rows_read")
    ]
    assert not any("example.org" in str(event.details) for event in trail)


def test_progress_is_a_part_until_the_page_is_another(seat: Seat, readers: int) -> None:
    path = send(seat, readers, PEOPLE)
    part = seat.page(f"{path}/progress")
    assert "<html" not in part
    assert 'hx-trigger="every 2s"' in part
    other = send(seat, readers, PEOPLE)
    assert "Waiting for another import to end." in seat.read(other)
    imports.work(seat.runtime)
    answer = seat.get(f"{path}/progress")
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (204, path)


def test_columns_nobody_knows_are_named_once_and_then_it_is_checked(
    seat: Seat, readers: int
) -> None:
    path = send(seat, readers, "Mail;Vorname;Gehalt\nada@example.org;Ada;900\n", tags="fair")
    said = seat.page(path)
    assert "ada@example.org" in said
    assert "one of them has to be the e-mail address" in said
    assert "--map" not in said
    fields = {"column-0": "email", "column-1": "first_name", "column-2": "-", "tags": "fair"}
    seat.done(f"{path}/check", fields)
    imports.work(seat.runtime)
    assert "Import 1 person" in seat.read(path)
    assert "Change columns or options" in seat.read(path)
    assert 'value="first_name" selected' in seat.page(f"{path}/columns")
    seat.done(f"{path}/start", said_yes(seat, path))
    imports.work(seat.runtime)
    with seat.sessions.reading() as session:
        ada = session.scalars(select(Subscriber)).one()
    assert (ada.name, ada.attributes) == ("Ada", {"tags": ["fair"]})


def test_columns_said_wrongly_are_asked_for_again(seat: Seat, readers: int) -> None:
    path = send(seat, readers, "Mail,opt_out\nada@example.org,no\n")
    seat.done(f"{path}/check", {"column-0": "email", "column-1": "="})
    imports.work(seat.runtime)
    said = seat.read(path)
    assert "What is in people.csv?" in said
    assert "column “opt_out” may say who left" in said
    assert "--map" not in said
    seat.done(f"{path}/check", {"column-0": "email", "column-1": "email"})
    imports.work(seat.runtime)
    assert "Two columns for email." in seat.read(path)


@pytest.mark.parametrize("system", [name for name in MOVES if name != "mailchimp"])
def test_files_of_other_systems_are_recognised(seat: Seat, readers: int, system: str) -> None:
    move = MOVES[system]
    for name in move.files:
        path = send(seat, readers, (DATA / name).read_bytes(), name)
        imports.work(seat.runtime)
        assert f"an export of {system}" in seat.read(path).lower()
        seat.done(f"{path}/start", said_yes(seat, path))
        imports.work(seat.runtime)
    with seat.sessions.reading() as session:
        emails = set(session.scalars(select(Subscriber.email)))
    assert emails == set(move.people)
    assert {"ada@example.org": "active"}.items() <= standing(seat).items()


def test_mailchimps_zip_is_taken_as_it_is(seat: Seat, readers: int) -> None:
    packed = BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
        for member in sorted(DATA.glob("*_members_export_*.csv")):
            archive.write(member, member.name)
    path = send(seat, readers, packed.getvalue(), "audience.zip")
    imports.work(seat.runtime)
    said = seat.read(path)
    assert "an export of Mailchimp" in said
    assert "2 people would join" in said
    assert "1 person left in the other system and would be remembered as gone" in said
    assert "1 address would be suppressed, as the file says" in said


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.csv", b" \n", "the file is empty"),
        ("nul.csv", b"em\0ail\n", "NUL byte"),
        ("old.xls", b"\xd0\xcf\x11\xe0\xa1\xb1", "found a spreadsheet"),
        ("utf16.csv", "email\n".encode("utf-16"), "found UTF-16"),
        ("photo.jpg", b"\xff\xd8\xff\xe0abc", "expected UTF-8"),
        ("headless.csv", b"ada@example.org,Ada\nbob@example.org,Bob\n", "names the columns"),
        ("zip.zip", b"PK\x03\x04not really", "not whole"),
    ],
)
def test_what_is_no_file_of_people_is_refused_in_a_sentence(
    seat: Seat, readers: int, name: str, content: bytes, sentence: str
) -> None:
    said = refused(seat, readers, content, name).lower()
    assert sentence.lower() in said
    assert "/tmp" not in said
    with seat.sessions.reading() as session:
        assert session.scalars(select(ImportRun)).all() == []


def test_a_workbook_is_called_one(seat: Seat, readers: int) -> None:
    packed = BytesIO()
    with ZipFile(packed, "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>")
        archive.writestr("xl/workbook.xml", "<x/>")
    assert "found a spreadsheet" in refused(seat, readers, packed.getvalue(), "people.xlsx")


def test_a_form_without_a_file_or_with_another_list_is_shown_again(
    seat: Seat, readers: int
) -> None:
    for files in ({}, {"file": ("", BytesIO(b""))}):
        answer = seat.post("/imports", {"list": str(readers)}, files=files or None)
        assert answer.status_code == 422
        assert "Choose the file to import." in answer.text
    with seat.sessions.writing() as session:
        other = add_newsletter(session, Newsletter(slug="other", name="Other"))
        session.flush()
        foreign = lists.create_list(session, "Foreign", other.id).id
    answer = seat.post(
        "/imports", {"list": str(foreign)}, files={"file": ("a.csv", BytesIO(b"email\na@b.de\n"))}
    )
    assert answer.status_code == 422
    assert "Choose the list" in answer.text


def test_a_body_longer_than_it_says_or_may_be_is_not_taken(
    seat: Seat, readers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from newsletter.web.desk.people import imports as page

    monkeypatch.setattr(page, "MOST_BYTES", 20)
    said = refused(seat, readers, b"email\n" + b"x" * 50, "people.csv")
    assert "expected a file of at most" in said.lower()
    head = {"Origin": ORIGIN, "Content-Type": "multipart/form-data; boundary=x"}
    token = seat.form_token()
    for body in (b"", b"--x\r\nContent-Disposition: form-data", b"\0" * 100):
        answer = seat.client.post("/imports", content=body, headers={**head, "X-Form-Token": token})
        assert answer.status_code == 422


def test_file_names_are_names_alone(seat: Seat, readers: int) -> None:
    path = send(seat, readers, PEOPLE, "../../etc/<b>x</b>.csv")
    page = seat.page(path)
    assert "<b>x</b>" not in page
    with seat.sessions.reading() as session:
        assert session.scalars(select(ImportRun.file_name)).one() == "b .csv"


def test_twice_the_same_file_is_as_once(seat: Seat, readers: int) -> None:
    for _time in range(2):
        path = send(seat, readers, PEOPLE)
        imports.work(seat.runtime)
        if not _time:
            seat.done(f"{path}/start", said_yes(seat, path))
            imports.work(seat.runtime)
    said = seat.read(path)
    assert "2 rows are about people who are here already" in said
    assert "Nothing would change" in said
    assert "was not started" in seat.done(f"{path}/start", said_yes(seat, path))


def test_cancelled_it_is_over_and_the_file_is_gone(seat: Seat, readers: int) -> None:
    path = send(seat, readers, PEOPLE)
    imports.work(seat.runtime)
    assert "Cancelled. The file is deleted." in seat.done(f"{path}/cancel")
    imports.work(seat.runtime)
    assert "Nothing was imported." in seat.read(path)
    assert "It was over already." in seat.done(f"{path}/cancel")
    assert standing(seat) == {}


def test_who_left_complained_or_was_erased_stays_away(seat: Seat, readers: int) -> None:
    with seat.sessions.writing() as session:
        found = session.get_one(SubscriberList, readers)
        factories.subscribed(session, found, ["ada@example.org"])
        suppressions.suppress(
            session, "bob@example.org", reason=SuppressionReason.COMPLAINT, source="test"
        )
        assert seat.runtime.erasure_key
        key = suppressions.erased_suppression(seat.runtime.erasure_key, "cyd@example.org")
        suppressions.suppress(session, key, reason=SuppressionReason.ERASED, source="erasure")
        (subscription,) = session.scalars(select(Subscription)).all()
        subscriptions.end(session, subscription, factories.EVIDENCE)
    path = send(seat, readers, "email\nada@example.org\nbob@example.org\ncyd@example.org\n")
    imports.work(seat.runtime)
    said = seat.read(path)
    assert "1 person left before and stays away" in said
    assert "1 address is suppressed and gets no mail" in said
    assert "1 person was erased and is not brought back" in said
    assert "Nothing would change" in said


def test_an_admin_of_one_newsletter_suppresses_for_its_lists_alone(
    seat: Seat, seats: Callable[..., Seat], readers: int
) -> None:
    admin = seats(Role.ADMIN, newsletter_id=seat.newsletter_id)
    text = "email,status,suppressed\nada@example.org,unsubscribed,complaint\n"
    assert "suppressed everywhere" not in admin.page("/imports/new")
    path = send(admin, readers, text, everywhere="1")
    imports.work(seat.runtime)
    admin.done(f"{path}/start", said_yes(admin, path))
    imports.work(seat.runtime)
    with seat.sessions.reading() as session:
        assert set(session.scalars(select(Suppression.list_id))) == {readers}
    path = send(seat, readers, text, everywhere="1")
    imports.work(seat.runtime)
    seat.done(f"{path}/start", said_yes(seat, path))
    imports.work(seat.runtime)
    with seat.sessions.reading() as session:
        assert set(session.scalars(select(Suppression.list_id))) == {readers, EVERYWHERE}


def test_imports_of_another_newsletter_are_not_there(
    seat: Seat, seats: Callable[..., Seat], readers: int
) -> None:
    path = send(seat, readers, PEOPLE)
    imports.work(seat.runtime)
    with seat.sessions.writing() as session:
        other = add_newsletter(session, Newsletter(slug="other", name="Other"))
        session.flush()
        other_id = other.id
    stranger = seats(Role.ADMIN, newsletter_id=other_id)
    for way in ("", "/columns", "/progress"):
        assert stranger.get(path + way).status_code == 404
    for way in ("/start", "/cancel", "/check", "/bad-rows"):
        assert stranger.post(path + way).status_code == 404
    assert "Nothing imported yet" in stranger.read("/imports")
    assert seats(Role.SENDER).get(path).status_code == 403
    assert seat.get("/imports/999").status_code == 404


def test_examples_hold_nothing_that_runs(seat: Seat, readers: int) -> None:
    path = send(seat, readers, 'Mail,x\n<script>alert(1)</script>,"""><img src=x>"\n')
    assert "<script>alert" not in seat.page(path)
    assert "<img src=x>" not in seat.page(path)


def test_a_yes_is_to_the_rehearsal_that_was_shown(seat: Seat, readers: int) -> None:
    """Not to what a colleague had checked since, with other options."""
    path = send(seat, readers, PEOPLE, unconfirmed="1")
    imports.work(seat.runtime)
    shown = said_yes(seat, path)
    seat.done(f"{path}/check", {"tags": "vip"})
    imports.work(seat.runtime)
    for stale in (shown, {}):
        answer = seat.post(f"{path}/start", stale)
        assert (answer.status_code, "was checked again" in answer.text) == (409, True)
        assert "Import 2 people" in answer.text, "as it is now"
    imports.work(seat.runtime)
    assert standing(seat) == {}
    seat.done(f"{path}/start", said_yes(seat, path))
    imports.work(seat.runtime)
    assert standing(seat) == {"ada@example.org": "active", "bob@example.org": "active"}


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("\N{GRINNING FACE}" * 60 + "." + "\N{GRINNING FACE}" * 10, None),
        ("\N{GRINNING FACE}" * 60 + ".csv", "\N{GRINNING FACE}" * 45 + ".csv"),
        ("\N{GRINNING FACE}" * 100, "\N{GRINNING FACE}" * 45),
        ("ü" * 60 + ".csv", "ü" * 60 + ".csv"),
        ("x" * 300 + ".jsonl", "x" * 60 + ".jsonl"),
    ],
)
def test_the_name_of_a_sent_file_fits_into_a_folder(name: str, kept: str | None) -> None:
    plain = plain_file_name(name)
    assert kept in (None, plain)
    assert len(plain.encode()) <= 255
    assert len(plain) <= MAX_FILE_NAME_CHARACTERS


def test_pages_of_imports_begin_at_numbers_alone(seat: Seat, readers: int) -> None:
    path = send(seat, readers, PEOPLE)
    assert path in seat.page("/imports")
    for before in ("9" * 23, "9" * 19, "-1", "x", "%00", "²"):
        for room in ("imports", "suppressions"):
            assert seat.get(f"/{room}?before={before}").status_code == 404, before
    assert seat.get("/imports?before=3000000000").status_code == 404
    assert seat.get("/suppressions?before=3000000000").status_code == 200
    assert path in seat.page("/imports?before=99")
    assert path not in seat.page(f"/imports?before={path.rpartition('/')[2]}")
