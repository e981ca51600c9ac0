"""Lists at the desk: made, counted, and what their sign-up forms do, say and ask."""

from typing import Any

from bs4 import BeautifulSoup
from sqlalchemy import event

from newsletter.core.db import Sessions
from subscribers import lists, subscriptions
from subscribers.models import SubscriberList, SubscriptionStatus
from subscribers.sign_up_fields import MAX_FIELDS
from tests import factories
from tests.desk import Seat, text_of
from tests.two_newsletters import BOB, SECRET, Two


def stored(two: Two, list_id: int) -> SubscriberList:
    with two.sessions.reading() as session:
        return session.get_one(SubscriberList, list_id)


FORM: dict[str, Any] = {"name": "Mornings", "is_public": "1", "confirms": "1", "welcomes": "1"}


def asking(*questions: tuple[str, str, bool]) -> dict[str, Any]:
    """The form with these questions: key, label, required."""
    return {
        **FORM,
        "field_key": [key for key, _, _ in questions],
        "field_label": [label for _, label, _ in questions],
        "field_required": [str(n) for n, (_, _, required) in enumerate(questions) if required],
    }


def test_people_are_counted_by_status_in_one_statement(ours: Seat, two: Two) -> None:
    with two.sessions.writing() as session:
        standing = subscriptions.find_subscription(session, two.people[BOB], two.mornings)
        assert standing
        subscriptions.end(session, standing, factories.EVIDENCE)
    assert 'hx-get="/lists/sizes"' in ours.page("/lists")
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        statements.append(statement)

    event.listen(two.sessions.engine, "before_cursor_execute", note)
    words = ours.read("/lists/sizes")
    event.remove(two.sessions.engine, "before_cursor_execute", note)
    assert "Mornings public, confirmed by mail 2 0 1" in words
    assert "Evenings public, confirmed by mail 1 0 0" in words
    assert SECRET not in words
    assert sum("count(" in statement for statement in statements) == 1
    assert "2 0 1" in ours.read("/lists?counted=1"), "also without script"


def test_lists_are_counted_alike_on_both_databases(sessions: Sessions) -> None:
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        mine = factories.a_list(session, "Mine", issue)
        factories.subscribed(session, mine, ["a@example.org", "b@example.org"])
        factories.subscribed(session, factories.a_list(session, "Else"), ["c@example.org"])
        found = lists.sizes_of(session, issue.newsletter_id)
        assert found == {mine.id: {SubscriptionStatus.ACTIVE: 2}}
        assert [each.id for each in lists.of_newsletter(session, issue.newsletter_id)] == [mine.id]


def test_a_list_is_made_also_one_called_new(ours: Seat, two: Two) -> None:
    for name in ("New", "Sizes", "Every Wednesday"):
        assert f"Made {name}." in ours.done("/lists/new", {"name": f" {name} "})
    words = ours.read("/lists")
    assert "New" in words
    assert "Every Wednesday" in words
    assert "name='Sizes'" not in words
    assert [noted.details["list"] for noted in two.audit("list.created")] == [
        *("new", "sizes", "every-wednesday")
    ]
    with two.sessions.reading() as session:
        assert lists.find_list(session, "new").newsletter_id == two.ours


def test_a_name_that_makes_no_list_is_told(ours: Seat, two: Two) -> None:
    for name, sentence in [
        ("", "short name"),
        ("---", "short name"),
        ("x" * 201, "at most 200"),
        ("Mornings", "taken"),
        (f"{SECRET} daily", "taken"),
    ]:
        answer = ours.post("/lists/new", {"name": name})
        assert (answer.status_code, sentence in answer.text) == (422, True), name
    assert two.audit("list.created") == []


def test_settings_are_saved_and_noted_and_the_short_name_stays(ours: Seat, two: Two) -> None:
    sent = {
        **asking(("company", "Company", True), ("name", "Your name", False)),
        "name": "Early mornings",
        "wording": "I want it all.",
    }
    del sent["welcomes"]
    assert "Saved." in ours.done(f"/lists/{two.mornings}", sent)
    changed = stored(two, two.mornings)
    assert (changed.name, changed.slug) == ("Early mornings", "mornings")
    assert (changed.is_public, changed.confirms, changed.welcomes) == (True, True, False)
    assert changed.wording == "I want it all."
    assert [(f["key"], f["required"]) for f in changed.fields] == [
        ("company", True),
        ("name", False),
    ]
    [noted] = two.audit("list.changed")
    assert set(noted.details["changes"]) == {"name", "welcomes", "wording", "fields"}
    assert "Nothing was different." in ours.done(f"/lists/{two.mornings}", sent)
    assert len(two.audit("list.changed")) == 1


def test_the_form_of_a_list_is_previewed_and_embedded(ours: Seat, two: Two) -> None:
    ours.done(f"/lists/{two.mornings}", asking(("company", "<b>Company</b>", True)))
    preview = ours.get(f"/lists/{two.mornings}/preview")
    assert "&lt;b&gt;Company&lt;/b&gt;" in preview.text
    assert "sandbox" in preview.headers["content-security-policy"]
    page = ours.page(f"/lists/{two.mornings}")
    assert "/s/mornings/embed" in page
    assert "&amp;lt;b&amp;gt;Company" in page, "the snippet is text"
    ours.done(f"/lists/{two.mornings}", {"name": "Mornings"})
    closed = ours.read(f"/lists/{two.mornings}")
    assert "This list is closed" in closed
    assert "On your own site" not in closed


def test_questions_are_added_moved_and_removed_without_saving(ours: Seat, two: Two) -> None:
    asked = asking(("a", "First", False), ("b", "Second", True))

    def order(deed: str, fields: dict[str, Any]) -> list[str]:
        answer = ours.post(f"/lists/{two.mornings}", {**fields, "do": deed})
        assert answer.status_code == 200
        return [part.split('"')[0] for part in answer.text.split('name="field_label" value="')[1:]]

    assert order("add", FORM) == [""]
    assert order("add", asked) == ["First", "Second", ""]
    assert order("down-0", asked) == order("up-1", asked) == ["Second", "First"]
    assert order("up-0", asked) == order("down-1", asked) == ["First", "Second"]
    assert order("drop-0", asked) == ["Second"]
    for odd in ("drop-7", "up-x", "drop--1", "up", "drop-²", f"drop-{'9' * 99}"):
        assert order(odd, asked) == ["First", "Second"], odd
    full = asking(*((f"k{n}", f"L{n}", False) for n in range(MAX_FIELDS)))
    assert len(order("add", full)) == MAX_FIELDS
    moved = ours.post(f"/lists/{two.mornings}", {**asked, "do": "up-1"}).text
    boxes = BeautifulSoup(moved, "html.parser").find_all("input", {"name": "field_required"})
    assert ["checked" in box.attrs for box in boxes] == [True, False]
    assert stored(two, two.mornings).fields == []


def test_mistakes_in_the_settings_are_told_and_nothing_is_lost(ours: Seat, two: Two) -> None:
    good = ("company", "Company", True)
    for sent, sentence in [
        ({**FORM, "name": ""}, "Expected one line"),
        ({**FORM, "wording": "one\ntwo"}, "Expected one line"),
        ({**FORM, "wording": "x" * 1_001}, "at most 1,000"),
        (asking(good, ("Bad Key", "Label", False)), "Expected a key of a-z"),
        (asking(good, ("email", "Label", False)), "Expected a key of a-z"),
        (asking(good, ("key", "", False)), "Expected a label"),
        (asking(good, ("company", "Again", False)), "found 'company' twice"),
    ]:
        answer = ours.post(f"/lists/{two.mornings}", sent)
        assert (answer.status_code, sentence in text_of(answer.text)) == (422, True), sent
        assert 'value="Company"' in answer.text or "field_label" not in sent
    ours.done(f"/lists/{two.mornings}", asking(good, ("", "", False)))
    assert len(stored(two, two.mornings).fields) == 1, "an empty line asks nothing"


def test_the_lists_of_another_newsletter_are_not_there(ours: Seat, two: Two) -> None:
    for path in (f"/lists/{two.rivals}", f"/lists/{two.rivals}/preview", "/lists/999"):
        assert ours.get(path).status_code == 404, path
    assert ours.post(f"/lists/{two.rivals}", FORM).status_code == 404
    assert SECRET in stored(two, two.rivals).name
    assert SECRET not in ours.page("/lists")
