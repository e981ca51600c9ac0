"""The pages of reports: figures, pictures, files, the click map; and who may see them."""

import csv
import io
import re
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import time_machine
from bs4 import BeautifulSoup
from lxml import etree
from pydantic import SecretStr
from sqlalchemy import update

from newsletter.accounts.permissions import Role
from newsletter.broadcasts.models import Broadcast, BroadcastState, Delivery, DeliveryState
from newsletter.core.db import Sessions
from newsletter.core.sections import BounceSettings
from newsletter.core.tokens import TokenKeys
from newsletter.issues.models import Issue, Newsletter
from newsletter.issues.newsletters import add_newsletter
from newsletter.privacy import retention
from newsletter.reports import growth, snapshots
from subscribers import lists
from subscribers.models import LeaveReason
from tests.desk import Seat, open_desk, stranger
from tests.reported import (
    NOW,
    PRIVACY_PROXY,
    SCANNER,
    STARTED,
    Reported,
    clicked,
    left,
    opened,
    sent,
)

READERS = [f"r{n}@large.example" for n in range(8)] + ["one@tiny.example"]
LATER = [*READERS[1:], "new@tiny.example"]
"""Without who left by an earlier issue."""


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def of(seat: Seat) -> Reported:
    """A broadcast with clicks, opens by all kinds of readers, a failure, a leaving."""
    made = sent(seat.sessions, READERS)
    with seat.sessions.writing() as session:
        session.execute(
            update(Delivery)
            .where(Delivery.id == made.rows[7].id)
            .values(state=DeliveryState.FAILED, reason="mailbox full")
        )
        opened(session, made, 0, 2.5)
        opened(session, made, 1, 2.5, PRIVACY_PROXY)
        opened(session, made, 2, 2.5, SCANNER)
        for number in range(3):
            clicked(session, made, number, 3.25)
        clicked(session, made, 3, 3.25, SCANNER)
        left(session, made, 0, NOW, LeaveReason.TOO_OFTEN)
    return made


def cells(page: str, caption: str) -> list[list[str]]:
    """The table in the region with this label, without its head."""
    region = BeautifulSoup(page, "html.parser").select_one(f'[aria-label="{caption}"]')
    assert region is not None, caption
    return [
        [" ".join(cell.get_text(" ").split()) for cell in row.select("th, td")]
        for row in region.select("tbody tr")
    ]


def file(seat: Seat, path: str) -> list[dict[str, str]]:
    answer = seat.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"].startswith("attachment")
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_before_the_first_issue_the_page_says_what_will_stand_here(seat: Seat) -> None:
    assert "Nothing was sent yet" in seat.read("/reports")
    assert "There is no list yet" in seat.read("/reports/growth")
    assert file(seat, "/reports/broadcasts.csv") == []


def test_a_report_leads_with_what_can_be_known(seat: Seat, of: Reported) -> None:
    page = seat.page(f"/reports/{of.broadcast_id}")
    soup = BeautifulSoup(page, "html.parser")
    figures = {
        div.dt.get_text(): " ".join(div.dd.get_text(" ").split())
        for div in soup.select("dl.figures > div")
    }
    assert figures == {
        "Accepted": "8",
        "Clicks by people": "3 37.5 %",
        "Unsubscribes": "1 12.5 %",
        "Failed": "1",
        "In doubt": "0",
    }
    accounting = soup.select_one("p.accounting").get_text()
    assert accounting.startswith("9 candidates = 8 accepted + 1 failed + 0 skipped")
    assert "Not collected until a mailbox or webhook is configured." in page
    assert cells(page, "People and machines") == [
        ["Clicks", "3 3 known", "1 1 known", "0"],
        ["Opens", "1 1 known", "1 1 known", "1 1 known"],
    ]
    assert cells(page, "Clicks by link")[0][1:] == ["3", "3", "1", "0"]
    assert cells(page, "Why they left") == [["It came too often", "1"]]
    assert cells(page, "Failed") == [["the mailbox is full", "1"]]
    hours = cells(page, "The first 48 hours")
    assert (hours[0][1], hours[2][2:5], hours[3][5:]) == ("8", ["1", "1", "1"], ["3", "1"])
    assert "is not over" not in page


def test_nobody_can_be_singled_out(seat: Seat, of: Reported) -> None:
    for path in ("", "/map", "/map/mail", "/domains.csv", "/links.csv", "/outcomes.csv"):
        page = seat.page(f"/reports/{of.broadcast_id}{path}")
        assert "r0@" not in page
        assert "tiny.example" not in page, "a domain with one recipient is a person"
    domains = cells(seat.page(f"/reports/{of.broadcast_id}"), "Domains")
    assert domains == [
        ["large.example", "8", "7", "1", "0", "3"],
        ["All others together", "1", "1", "0", "0", "0"],
    ]


def test_issues_stand_beside_each_other(seat: Seat, of: Reported) -> None:
    newer = sent(seat.sessions, LATER, day="2026-06-18", started=NOW, name="Evenings")
    rows = cells(seat.page("/reports"), "Issues")
    assert [row[2:] for row in rows] == [
        ["9", "0", "0", "0", "0", "0", "0"],
        ["8", "1", "3 37.5 %", "1", "1", "1", "1"],
    ]
    assert "Usually 3.2 days lie between two issues." in seat.read("/reports")
    page = seat.page(f"/reports/{newer.broadcast_id}")
    assert cells(page, "Comparison") == [
        ["Clicks by people", "0.0 %", "37.5 %"],
        ["Opens by people", "0.0 %", "12.5 %"],
        ["Unsubscribes", "0.0 %", "12.5 %"],
        ["Failed", "0.0 %", "12.5 %"],
    ]
    first = file(seat, "/reports/broadcasts.csv")[1]
    assert (first["broadcast"], first["clicks_by_people"], first["opens_unknown"]) == (
        str(of.broadcast_id),
        "3",
        "1",
    )
    for asked in ("0", "-1", "x", "99999", "²"):
        assert seat.get(f"/reports?page={asked}").status_code == 200
    assert "No issue is this old" in seat.read("/reports?page=7")


def test_hours_that_are_still_to_come_are_no_zeros(
    seat: Seat, of: Reported, clock: time_machine.Traveller
) -> None:
    clock.move_to(STARTED + timedelta(hours=3, minutes=30))
    path = f"/reports/{of.broadcast_id}"
    assert [row[0] for row in cells(seat.page(path), "The first 48 hours")] == ["0", "1", "2", "3"]
    assert len(file(seat, f"{path}/hours.csv")) == 4
    assert seat.get(f"{path}/hours.svg").text.count("<circle") == 2 * 4


def test_what_is_not_over_is_compared_with_nothing(seat: Seat, of: Reported) -> None:
    still = sent(seat.sessions, LATER, day="2026-06-18", started=STARTED, name="Evenings")
    newer = sent(seat.sessions, LATER, day="2026-06-19", started=NOW, name="Nights")
    before = seat.get("/reports/clicks.svg").text.count("<circle")
    with seat.sessions.writing() as session:
        session.execute(
            update(Broadcast)
            .where(Broadcast.id == still.broadcast_id)
            .values(state=BroadcastState.SENDING, finished_at=None)
        )
    page = seat.page(f"/reports/{newer.broadcast_id}")
    assert cells(page, "Comparison")[0] == ["Clicks by people", "0.0 %", "37.5 %"]
    assert "Comparison" not in seat.page(f"/reports/{still.broadcast_id}")
    assert (before, seat.get("/reports/clicks.svg").text.count("<circle")) == (2 * 3, 2 * 2)
    assert "sending" in " ".join(row[0] for row in cells(seat.page("/reports"), "Issues")).lower()


def test_a_broadcast_that_has_not_begun_has_no_report(seat: Seat, of: Reported) -> None:
    with seat.sessions.writing() as session:
        session.execute(update(Broadcast).values(state=BroadcastState.SCHEDULED, frozen_at=None))
    assert "has not begun" in seat.read(f"/reports/{of.broadcast_id}")
    assert seat.get(f"/reports/{of.broadcast_id}/links.csv").status_code == 404
    assert "Nothing was sent yet" in seat.read("/reports")


def test_pictures_hold_no_script_and_nothing_from_elsewhere(seat: Seat, of: Reported) -> None:
    base = f"/reports/{of.broadcast_id}"
    pictures = (
        *(f"{base}/hours.svg", f"{base}/accepted.svg", "/reports/clicks.svg"),
        *("/reports/growth.svg", "/reports/growth.svg?narrow=1"),
    )
    for path in pictures:
        answer = seat.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/svg+xml"
        policy = answer.headers["content-security-policy"]
        assert policy == "default-src 'none'; style-src 'unsafe-inline'; sandbox"
        tree = etree.fromstring(answer.content)
        assert not tree.findall(".//{*}script")
        assert not re.search(r"""url\(|@import|href\s*=\s*["']?(?!#)\w""", answer.text)
        assert "prefers-color-scheme: dark" in answer.text
        assert seat.get(path).content == answer.content, "alike for alike figures"


def test_the_click_map_is_the_mail_and_leads_nowhere(seat: Seat, of: Reported) -> None:
    base = f"/reports/{of.broadcast_id}/map"
    frame = BeautifulSoup(seat.page(base), "html.parser").select_one("iframe")
    assert frame is not None
    assert (frame["src"], list(frame["sandbox"])) == (f"{base}/mail", []), "nothing is allowed"
    answer = seat.get(f"{base}/mail")
    policy = answer.headers["content-security-policy"]
    assert "sandbox" in policy
    assert "script-src" not in policy
    mail = BeautifulSoup(answer.text, "html.parser")
    assert not mail.select("a[href]")
    assert not mail.select("img")
    said = " ".join(mail.get_text(" ").split())
    assert "One 3 clicks" in said
    assert "a link 0 clicks" in said
    assert "A ledger survives a crash, reader ." in said.replace("reader.", "reader .")
    assert not re.search(r"n[0-9a-f]{20}-", answer.text), "no placeholder is left"


def test_files_hold_no_formula(seat: Seat, of: Reported) -> None:
    with seat.sessions.writing() as session:
        session.execute(update(Issue).values(subject='=HYPERLINK("https://evil.example")'))
        session.execute(
            update(Delivery)
            .where(Delivery.state == DeliveryState.FAILED)
            .values(reason="@SUM(1+1)")
        )
    (line,) = file(seat, "/reports/broadcasts.csv")
    assert line["subject"].startswith("'=HYPERLINK")
    outcomes = file(seat, f"/reports/{of.broadcast_id}/outcomes.csv")
    assert "'@SUM(1+1)" in [row["reason"] for row in outcomes]


def test_every_table_is_a_file(seat: Seat, of: Reported) -> None:
    base = f"/reports/{of.broadcast_id}"
    assert file(seat, f"{base}/links.csv")[0]["clicks_by_people"] == "3"
    readers = {row["what"]: row for row in file(seat, f"{base}/readers.csv")}
    assert (readers["opens"]["unknown"], readers["clicks"]["by_people"]) == ("1", "3")
    hours = file(seat, f"{base}/hours.csv")
    assert (len(hours), hours[3]["clicks_by_machines"]) == (48, "1")
    assert file(seat, f"{base}/domains.csv")[-1]["domain"] == "(others)"
    reasons = {row["reason"]: row["unsubscribed"] for row in file(seat, f"{base}/reasons.csv")}
    assert (reasons["too_often"], reasons["(none said)"], reasons["(all)"]) == ("1", "0", "1")
    days = file(seat, "/reports/growth.csv?list=mornings&span=month")
    assert (len(days), days[-1]["came_added"], days[-1]["left_too_often"]) == (30, "9", "1")


def test_growth_shows_who_came_and_left(seat: Seat, of: Reported) -> None:
    page = seat.page("/reports/growth?list=mornings&span=quarter")
    assert cells(page, "Why they left") == [["It came too often", "1"]]
    assert cells(page, "Came and left")[0][1:] == ["9", "0", "0", "9", "0", "1", "0"]
    assert seat.get("/reports/growth?span=nonsense").status_code == 200
    assert seat.get("/reports/growth?list=nonsense").status_code == 404


def test_growth_opens_on_the_largest_list(
    seat: Seat, of: Reported, monkeypatch: pytest.MonkeyPatch
) -> None:
    with seat.sessions.writing() as session:
        lists.create_list(session, "A list that is first by name", of.newsletter_id)
    assert "Growth of Mornings" in seat.read("/reports/growth")
    monkeypatch.setattr(growth, "SMALL_ROWS", 3)
    seat.page("/reports/growth")
    assert "Growth of Mornings" in seat.read("/reports/growth")


def test_another_newsletters_figures_are_not_there(
    seat: Seat, of: Reported, seats: Callable[..., Seat]
) -> None:
    with seat.sessions.writing() as session:
        other = add_newsletter(session, Newsletter(slug="other", name="Other"))
        lists.create_list(session, "Theirs", other.id)
        other_id = other.id
    editor = seats(Role.AUTHOR, newsletter_id=other_id)
    for path in ("", "/map", "/map/mail", "/hours.svg", "/links.csv", "/domains.csv"):
        assert editor.get(f"/reports/{of.broadcast_id}{path}").status_code == 404
    assert editor.get("/reports/growth?list=mornings").status_code == 404
    assert editor.get("/reports/growth?list=theirs").status_code == 200
    assert "Nothing was sent yet" in editor.read("/reports")
    assert file(editor, "/reports/broadcasts.csv") == []
    author = seats(Role.AUTHOR, newsletter_id=seat.newsletter_id)
    assert author.get(f"/reports/{of.broadcast_id}").status_code == 200
    with stranger(seat.runtime) as client:
        assert client.get(f"/reports/{of.broadcast_id}").status_code == 303


def test_a_large_broadcast_is_counted_beside_the_page(
    seat: Seat, of: Reported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "SMALL_ROWS", 3)
    path = f"/reports/{of.broadcast_id}"
    first = seat.page(path)
    assert "are being counted beside this page" in first
    assert 'hx-trigger="every 5s"' in first
    then = seat.page(path)
    assert "were counted beside this page" in then
    assert "hx-trigger" not in then
    assert cells(then, "Clicks by link")[0][1:] == ["3", "3", "1", "0"]
    assert cells(seat.page("/reports"), "Issues")[0][4] == "3 37.5 %"


def test_issues_that_are_not_counted_yet_are_counted_once_asked_for(
    seat: Seat, of: Reported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "SMALL_ROWS", 3)
    page = seat.page("/reports")
    before = cells(page, "Issues")
    after = cells(seat.page("/reports"), "Issues")
    assert "The readers of 1 issue are not counted yet." in page
    assert before[0][2:] == ["8", "1", "readers not counted yet Count them"]
    assert after[0][2:] == ["8", "1", "3 37.5 %", "1", "1", "1", "1"]


def test_growth_of_many_people_is_counted_beside_the_page(
    seat: Seat, of: Reported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "SMALL_ROWS", 3)
    assert "being counted beside the page" in seat.page("/reports/growth")
    assert cells(seat.page("/reports/growth"), "Came and left")[0][1] == "9"


def test_what_is_not_kept_is_not_known_any_more(
    seat: Seat, of: Reported, clock: time_machine.Traveller
) -> None:
    with seat.sessions.reading() as session:
        found = retention.prunable(session, NOW + timedelta(days=1))
    retention.prune(seat.sessions, found)
    page = seat.page(f"/reports/{of.broadcast_id}")
    assert "its figures were kept on" in page
    assert cells(page, "Clicks by link")[0][1:] == ["3", "not known", "1", "0"]
    assert page.count("Not known any more") == 3
    assert cells(seat.page("/reports"), "Issues")[0][2:5] == ["8", "1", "3 37.5 %"]
    assert file(seat, f"/reports/{of.broadcast_id}/hours.csv") == []
    assert seat.get(f"/reports/{of.broadcast_id}/hours.svg").status_code == 200


def test_with_a_mailbox_the_page_says_what_it_is_read_for(
    sqlite_sessions: Sessions, keys: TokenKeys
) -> None:
    mailbox = BounceSettings(domain="example.org", mailbox=SecretStr("imaps://u:p@example.org/I"))
    with open_desk(sqlite_sessions, keys, bounces=mailbox) as seat:
        made = sent(sqlite_sessions, READERS)
        said = seat.read(f"/reports/{made.broadcast_id}")
    assert "it is not read for bounces yet" in said


def test_what_people_wrote_is_shown_as_text(seat: Seat, of: Reported) -> None:
    with seat.sessions.writing() as session:
        session.execute(update(Issue).values(subject="<script>alert(1)</script>"))
        session.execute(
            update(Delivery)
            .where(Delivery.state == DeliveryState.FAILED)
            .values(reason="<img src=x onerror=1>")
        )
    for path in ("/reports", f"/reports/{of.broadcast_id}", f"/reports/{of.broadcast_id}/map"):
        page = seat.page(path)
        assert "<script>alert" not in page
        assert "<img src=x" not in page
