"""Issues at the desk: written by several, checked while they are written, never lost."""

import json
import re
from collections.abc import Callable
from datetime import date
from html import unescape

import pytest
import time_machine
from bs4 import BeautifulSoup
from httpx2 import Response
from sqlalchemy import select

from newsletter.accounts.models import User
from newsletter.accounts.permissions import Role
from newsletter.broadcasts.models import Broadcast, BroadcastState
from newsletter.core.fetch import Fetched, Fetcher, FetchError
from newsletter.core.sentences import quoted
from newsletter.issues import revisions
from newsletter.issues.models import Issue, IssueRevision, Newsletter
from newsletter.issues.newsletters import add_newsletter
from tests import factories
from tests.desk import Seat, text_of
from tests.factories import MARKDOWN

Seats = Callable[..., Seat]
OTHER = MARKDOWN.replace("First summary", "Another summary")
ELSEWHERE = "---\ndate: 2026-06-17\nnewsletter: b\n---\n## A\nx"
DIGEST = next((factories.EXAMPLES / "issues").glob("*.txt")).read_text(encoding="utf-8")
NOON = "2026-06-16T12:00:00+00:00"


@pytest.fixture
def issue_id(seat: Seat) -> int:
    with seat.sessions.writing() as session:
        return factories.stored_issue(session).id


def stored(seat: Seat, issue_id: int) -> tuple[str, int]:
    with seat.sessions.reading() as session:
        issue = session.get_one(Issue, issue_id)
        return issue.source, issue.revision


def by_script(seat: Seat, path: str, **fields: str) -> tuple[int, dict[str, object]]:
    answer = seat.post(path, fields, headers={"Accept": "application/json"})
    return answer.status_code, json.loads(answer.text)


def in_field(answer: Response, name: str = "text") -> str:
    """What stands in a field of the page that came back."""
    (field,) = BeautifulSoup(answer.text, "html.parser").select(f"[name={name}]")
    if field.name == "input":
        return str(field["value"])
    return field.get_text().removeprefix("\n")


def schedule(seat: Seat, issue_id: int) -> int:
    with seat.sessions.writing() as session:
        issue = session.get_one(Issue, issue_id)
        to = factories.a_list(session, issue=issue)
        return factories.scheduled(session, issue, [to]).id


def test_the_first_issue_is_asked_for_and_begun(seat: Seat) -> None:
    assert "Write the first issue" in seat.read("/issues")
    with time_machine.travel(NOON, tick=False):
        assert 'value="2026-06-16"' in seat.page("/issues/new")
        page = seat.done("/issues/new", {"date": "2026-06-17", "text": ""})
    assert "2026-06-17: what this issue is about" in page
    assert "Ready to send" in seat.read("/issues")


def test_a_pasted_digest_begins_as_markdown(seat: Seat) -> None:
    digest = next((factories.EXAMPLES / "issues").glob("*.txt")).read_text(encoding="utf-8")
    page = seat.done("/issues/new", {"date": "2026-01-01", "text": digest})
    assert "### Time Zones Are Data, Not Arithmetic" in page
    again = seat.post("/issues/new", {"date": "2026-01-01", "text": digest})
    assert again.status_code == 422
    assert "another issue of 2026-06-18 already" in text_of(again.text)
    assert in_field(again) == digest.replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"date": "tomorrow", "text": ""}, "Expected a day"),
        ({"date": "2026-06-17", "text": "---\nsubject: x\n---\n## A\nx"}, "Line 1"),
        (
            {"date": "2026-06-17", "text": "---\ndate: 2026-06-17\nnewsletter: b\n---\n## A\nx"},
            "Line 3",
        ),
    ],
)
def test_a_text_that_cannot_begin_comes_back(seat: Seat, fields: dict[str, str], said: str) -> None:
    answer = seat.post("/issues/new", fields)
    assert answer.status_code == 422
    assert said in text_of(answer.text)
    assert in_field(answer) == fields["text"]


def test_two_editors_at_once_lose_nothing(seat: Seat, seats: Seats, issue_id: int) -> None:
    bo = seats(Role.AUTHOR)
    with seat.sessions.writing() as session:
        session.get_one(User, bo.editor_id).name = "Bo"
    path, mine = f"/issues/{issue_id}/save", MARKDOWN + "Mine.\n"
    assert bo.post(path, {"text": OTHER, "revision": "1"}).status_code == 303
    conflict = seat.post(path, {"text": mine, "revision": "1"})
    assert conflict.status_code == 409
    assert "Bo changed this issue" in text_of(conflict.text)
    assert in_field(conflict) == mine
    assert "Another summary" in text_of(conflict.text)
    assert stored(seat, issue_id) == (OTHER, 2)
    merged = {"text": mine + "And theirs.\n", "revision": in_field(conflict, "revision")}
    assert "And theirs." in seat.done(path, merged)
    history = seat.read(f"/issues/{issue_id}/history")
    assert history.index("Bo") < history.index("command")
    assert text_of(seat.page(f"/issues/{issue_id}/history/2")).count("Another summary") >= 1


def test_a_script_is_told_of_a_conflict_without_losing_the_page(
    seat: Seat, seats: Seats, issue_id: int
) -> None:
    path = f"/issues/{issue_id}/save"
    seats(Role.AUTHOR).post(path, {"text": OTHER, "revision": "1"})
    status, said = by_script(seat, path, text=MARKDOWN + "Mine.\n", revision="1", autosave="1")
    assert status == 409
    assert "changed this issue at" in str(said["problem"])


def test_going_on_with_theirs_keeps_mine_in_the_history(
    seat: Seat, seats: Seats, issue_id: int
) -> None:
    seats(Role.AUTHOR).post(
        f"/issues/{issue_id}/save", {"text": OTHER, "revision": "1", "autosave": "1"}
    )
    fields = {"text": MARKDOWN + "Mine.\n", "revision": "2", "beside": "1"}
    assert "Yours is in the history" in seat.done(f"/issues/{issue_id}/theirs", fields)
    assert stored(seat, issue_id)[0] == OTHER
    with seat.sessions.reading() as session:
        kept = session.scalars(select(IssueRevision.source).order_by(IssueRevision.number)).all()
    assert kept == [MARKDOWN, OTHER, MARKDOWN + "Mine.\n"]


def test_autosaves_are_one_text_of_the_history(seat: Seat, issue_id: int) -> None:
    for number in range(1, 4):
        status, said = by_script(
            seat,
            f"/issues/{issue_id}/save",
            text=f"{MARKDOWN}{number}\n",
            revision=str(number),
            autosave="1",
        )
        assert (status, said["revision"]) == (200, number + 1)
    page = BeautifulSoup(seat.page(f"/issues/{issue_id}/history"), "html.parser")
    assert len(page.select("tbody tr")) == 2


def test_a_half_written_text_is_kept_and_says_what_is_wrong(seat: Seat, issue_id: int) -> None:
    broken = MARKDOWN.replace("date: 2026", "date: x2026")
    status, said = by_script(seat, f"/issues/{issue_id}/save", text=broken, revision="1")
    assert status == 200
    assert str(said["problem"]).startswith("Line 4: ")
    assert stored(seat, issue_id)[0] == broken
    page = seat.page(f"/issues/{issue_id}")
    assert 'data-lines="4"' in page
    assert "Draft" in text_of(page)
    assert "nothing to show yet" in seat.read(f"/issues/{issue_id}/preview")


def test_what_is_found_in_many_lines_is_said_once_with_all_of_them(
    seat: Seat, issue_id: int
) -> None:
    text = MARKDOWN + "".join(f"\n### Unlinked {n}\nx\n" for n in range(3))
    lines = [text[: text.index(f"### Unlinked {n}")].count("\n") + 1 for n in range(3)]
    answer = seat.post(f"/issues/{issue_id}/check", {"text": text}).text
    (found,) = BeautifulSoup(answer, "html.parser").select("[data-text='an entry has no link']")
    assert found["data-lines"] == " ".join(map(str, lines))
    assert [link["data-goto"] for link in found.select("a")] == [str(line) for line in lines]
    assert "3 times" in found.get_text()
    assert found.get_text().count("An entry has no link") == 1
    with seat.sessions.writing() as session:
        session.get_one(Issue, issue_id).source = text
    named = ", ".join(map(str, lines))
    assert f"Lines {named}: an entry has no link" in seat.read(f"/broadcasts/new/{issue_id}")


def test_what_was_sent_is_read_only(seat: Seat, issue_id: int) -> None:
    broadcast_id = schedule(seat, issue_id)
    page = seat.page(f"/issues/{issue_id}")
    assert "about to be sent" in text_of(page)
    assert re.search(r'<textarea id="text"[^>]* readonly', page)
    assert f'href="/broadcasts/{broadcast_id}"' in page
    answer = seat.post(f"/issues/{issue_id}/save", {"text": OTHER, "revision": "1"})
    assert answer.status_code == 422
    assert "does not change any more" in text_of(answer.text)
    assert in_field(answer) == OTHER
    with seat.sessions.writing() as session:
        session.get_one(Broadcast, broadcast_id).state = BroadcastState.DONE
    page = seat.page("/issues")
    assert "Sent" in text_of(page)
    assert f'href="/reports/{broadcast_id}"' in page


def test_an_earlier_text_comes_back(seat: Seat, issue_id: int) -> None:
    seat.post(f"/issues/{issue_id}/save", {"text": OTHER, "revision": "1"})
    page = seat.page(f"/issues/{issue_id}/history/1")
    assert "<del>First</del>" in page
    assert "<ins>Another</ins>" in page
    for none in ("7", "0", "-1", "3000000000", "-3000000000", "9" * 23):
        assert seat.get(f"/issues/{issue_id}/history/{none}").status_code == 404, none
        back = seat.post(f"/issues/{issue_id}/history/{none}/restore", {"revision": "2"})
        assert back.status_code == 404, none
    restored = seat.done(f"/issues/{issue_id}/history/1/restore", {"revision": "2"})
    assert "First summary" in restored
    assert stored(seat, issue_id) == (MARKDOWN, 3)
    stale = seat.post(f"/issues/{issue_id}/history/2/restore", {"revision": "2"})
    assert stale.status_code == 409
    assert stored(seat, issue_id) == (MARKDOWN, 3)


def test_entries_move_with_the_text_that_is_in_the_field(seat: Seat, issue_id: int) -> None:
    typed = MARKDOWN.replace("Second summary.", "Second summary, edited.")
    fields = {"text": typed, "revision": "1", "do": "up 2"}
    status, said = by_script(seat, f"/issues/{issue_id}/entries", **fields)
    assert status == 200
    text = str(said["text"])
    assert text.index("### [Two]") < text.index("### [One]")
    assert "Second summary, edited." in text
    assert stored(seat, issue_id) == (text, 3)
    refused = seat.post(
        f"/issues/{issue_id}/entries", {"text": text, "revision": "3", "do": "up 1"}
    )
    assert refused.status_code == 422
    assert in_field(refused) == text


def test_an_entry_goes_to_another_section_without_script(seat: Seat, issue_id: int) -> None:
    text = f"{MARKDOWN}\n## Later\n### [Three](https://example.org/three)\nx\n"
    seat.post(f"/issues/{issue_id}/save", {"text": text, "revision": "1"})
    page = BeautifulSoup(seat.page(f"/issues/{issue_id}"), "html.parser")
    offered = {
        name: {option.get_text(): str(option["value"]) for option in page.select(f"#{name} option")}
        for name in ("moved", "target")
    }
    assert list(offered["moved"]) == ["One", "Two", "Three"]
    asked = {"moved": offered["moved"]["One"], "target": offered["target"]["Later"]}
    fields = {"text": text, "revision": "2", "do": "section", **asked}
    assert "Moved to the end" in seat.done(f"/issues/{issue_id}/entries", fields)
    moved = stored(seat, issue_id)[0]
    assert re.findall(r"^##+ (.*)", moved, re.MULTILINE)[1:] == [
        *("Deep Reads", "[Two](https://example.org/two)"),
        *("Later", "[Three](https://example.org/three)", "[One](https://example.org/one)"),
    ]
    again = {**fields, "text": moved, "revision": "4", "moved": "3"}
    refused = seat.post(f"/issues/{issue_id}/entries", again)
    assert refused.status_code == 422
    assert "The entry is in this section" in text_of(refused.text)


@pytest.mark.parametrize("is_saved", [True, False])
@pytest.mark.parametrize("act", ["remove 1", "markdown"])
def test_the_text_before_a_change_is_in_the_history(
    seat: Seat, issue_id: int, act: str, is_saved: bool
) -> None:
    """Autosaved a moment ago, or typed since."""
    typed, revision = (DIGEST if act == "markdown" else OTHER), "1"
    if is_saved:
        fields = {"text": typed, "revision": "1", "autosave": "1"}
        assert by_script(seat, f"/issues/{issue_id}/save", **fields)[0] == 200
        revision = "2"
    fields = {"text": typed, "revision": revision, "do": act}
    status, said = by_script(seat, f"/issues/{issue_id}/entries", **fields)
    assert status == 200
    assert stored(seat, issue_id) == (said["text"], 3)
    with seat.sessions.reading() as session:
        assert revisions.text_of(session, issue_id, 2) == typed != said["text"]


class _Web(Fetcher):
    """Two pages, one of which is not there."""

    def fetch(self, url: str) -> Fetched:
        if "gone" in url:
            raise FetchError(url, quoted("the server answered 404"))
        page = b"<title>A [page]</title><meta name=author content=Ann>"
        return Fetched(url, "text/html", page)


def test_an_entry_comes_from_a_page_of_the_web(seat: Seat, issue_id: int) -> None:
    seat.client.app.state.fetcher = _Web()  # type: ignore[attr-defined]
    path = f"/issues/{issue_id}/entries"
    fields = {"text": MARKDOWN, "revision": "1", "do": "add", "url": "https://example.org/new"}
    assert "The entry is added" in seat.done(path, fields)
    text, _ = stored(seat, issue_id)
    assert text == MARKDOWN + (
        "\n### [A \\[page\\]](https://example.org/new)\nAnn · [Source](https://example.org/new)\n"
    )
    gone = {"text": text, "revision": "2", "do": "add", "url": "https://example.org/gone"}
    status, said = by_script(seat, path, **gone)
    assert status == 422
    assert "answered 404. You can add the link alone" in str(said["problem"])
    assert by_script(seat, path, **{**gone, "do": "bare"})[0] == 200


def test_this_machine_is_not_fetched_from(seat: Seat, issue_id: int) -> None:
    fields = {"text": MARKDOWN, "revision": "1", "do": "add", "url": "http://127.0.0.1/"}
    status, said = by_script(seat, f"/issues/{issue_id}/entries", **fields)
    assert (status, "public internet" in str(said["problem"])) == (422, True)


def test_a_check_finds_without_keeping(seat: Seat, issue_id: int) -> None:
    text = MARKDOWN.replace("https://example.org/one", "javascript:alert(1)")
    answer = seat.post(f"/issues/{issue_id}/check", {"text": text})
    assert answer.status_code == 200
    assert 'data-severity="error" data-lines="12"' in answer.text
    assert "<html" not in answer.text
    assert stored(seat, issue_id) == (MARKDOWN, 1)


def test_who_may_not_write_reads(seat: Seat, seats: Seats, issue_id: int) -> None:
    with seat.sessions.writing() as session:
        elsewhere = add_newsletter(session, Newsletter(slug="other", name="Other")).id
    stranger = seats(Role.ADMIN, elsewhere)
    for path in ("", "/preview", "/history", "/history/1", "/images"):
        assert stranger.get(f"/issues/{issue_id}{path}").status_code == 404, path
    for path in ("/save", "/check", "/preview", "/entries", "/images", "/theirs"):
        answer = stranger.post(f"/issues/{issue_id}{path}", {"text": OTHER, "revision": "1"})
        assert answer.status_code == 404, path
    assert "Measured twice" not in stranger.page("/issues")
    assert stored(seat, issue_id) == (MARKDOWN, 1)


def test_a_text_is_text_on_every_page(seat: Seat, issue_id: int) -> None:
    evil = "<img src=x onerror=alert(1)>\"'"
    text = MARKDOWN.replace("Measured twice", evil.replace('"', "")).replace("First summary", evil)
    seat.post(f"/issues/{issue_id}/save", {"text": text, "revision": "1"})
    conflict = seat.post(f"/issues/{issue_id}/save", {"text": OTHER, "revision": "1"}).text
    pages = ["", "/history", "/history/1", "/images"]
    for page in [*(seat.page(f"/issues/{issue_id}{each}") for each in pages), conflict]:
        assert "<img src=x" not in page
    assert evil in unescape(conflict)


def test_the_list_follows_a_text(seat: Seat, issue_id: int) -> None:
    assert "Ready to send" in seat.read("/issues")
    broken = MARKDOWN.replace("https://example.org/one", "nowhere")
    seat.post(f"/issues/{issue_id}/save", {"text": broken, "revision": "1"})
    assert "Draft" in seat.read("/issues")


def test_issues_are_listed_newest_first_and_paged(seat: Seat) -> None:
    with seat.sessions.writing() as session:
        for day in range(1, 28):
            factories.stored_issue(session, MARKDOWN.replace("06-17", f"05-{day:02}"))
    first = seat.page("/issues")
    assert first.index("27 May 2026") < first.index("26 May 2026")
    assert "2 May 2026" not in text_of(first).replace("12 May 2026", "").replace("22 May 2026", "")
    second = seat.read(f"/issues?before={date(2026, 5, 3)}")
    assert "2 May 2026" in second
    assert "3 May 2026" not in second
