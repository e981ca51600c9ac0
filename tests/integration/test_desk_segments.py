"""Segments at the desk: rows and text that follow each other, saved ones, who is inside."""

from typing import Any

import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings

from newsletter.broadcasts.models import Broadcast
from newsletter.web.desk import forms
from newsletter.web.desk.people import segment_form
from newsletter.web.desk.people.segment_form import Sides
from subscribers import segments
from subscribers.filters.language import parse
from subscribers.filters.rows import draw
from subscribers.filters.tree import Filter
from subscribers.filters.writing import written
from subscribers.models import Segment, SubscriberList
from tests import segment_trees
from tests.desk import Seat, text_of
from tests.two_newsletters import ADA, BOB, CYD, SECRET, Two

PRO = 'attributes.plan = "pro"'


def saved(two: Two, text: str, name: str = "Paying") -> int:
    with two.sessions.writing() as session:
        on = session.get_one(SubscriberList, two.mornings)
        return segments.save(session, on, name, text).id


def text_in(two: Two, segment_id: int) -> str:
    with two.sessions.reading() as session:
        return session.get_one(Segment, segment_id).text


def fields_of(page: str) -> dict[str, list[str]]:
    """What a browser would send of the segment's form, no button pressed."""
    form = BeautifulSoup(page, "html.parser").find(id="segment")
    fields: dict[str, list[str]] = {}
    for control in form.find_all(["input", "select", "textarea"]):
        if control.name == "select":
            chosen = control.find("option", selected=True) or control.find("option")
            value = chosen["value"] if chosen else None
        elif control.name == "textarea":
            value = control.text.removeprefix("\n")
        else:
            value = control.get("value", "")
        if value is not None and control["name"] != "form_token":
            fields.setdefault(str(control["name"]), []).append(str(value))
    return fields


def sent(fields: dict[str, list[str]]) -> forms.Form:
    """As a server reads it."""
    return forms.Form(fields, {})


@pytest.mark.parametrize(
    "text",
    [
        "status = active",
        'not opened_within(30d) and (attributes.plan = "pro" or not attributes.tags has "vip")',
        'on("evenings") or sample(0.5%, "spring") or created_at >= 2026-01-31',
        "attributes.member = true and attributes.score < 10.5 and name exists",
        'domain in ("example.org", "a b") and tracking != denied and not locale contains "de"',
        'not (name = "a" and name = "b")',
    ],
)
def test_a_page_that_is_sent_back_untouched_says_the_same(ours: Seat, two: Two, text: str) -> None:
    number = saved(two, text)
    page = ours.page(f"/segments/{number}")
    assert ("stays text" in page) is (draw(parse(text)) is None)
    assert "Saved." in ours.done(f"/segments/{number}", fields_of(page))
    assert text_in(two, number) == text


@settings(max_examples=60)
@given(segment_trees.trees(segment_trees.any_text()))
def test_rows_that_are_sent_back_mean_what_they_were_drawn_from(tree: Filter) -> None:
    drawing = draw(tree)
    if drawing is None:
        return
    fields: dict[str, list[str]] = {"text": [written(tree)], "shown": [written(tree)], "row": []}
    fields["match"] = [drawing.match]
    for g, group in enumerate(drawing.groups):
        fields[f"match.{g}"] = [group.match]
        for r, row in enumerate(group.rows):
            fields["row"].append(f"{g}.{r}")
            for part in ("subject", "operator", "value", "path", "kind", "unit", "seed"):
                fields[f"{part}.{g}.{r}"] = [getattr(row, part).replace("\n", "\r\n")]
    assert segment_form.sent(sent(fields)).tree == tree


def test_the_side_that_was_changed_counts(ours: Seat, two: Two) -> None:
    number = saved(two, PRO)
    fields = fields_of(ours.page(f"/segments/{number}"))
    by_row = {**fields, "value.0.0": ["free"]}
    ours.done(f"/segments/{number}", by_row)
    assert text_in(two, number) == 'attributes.plan = "free"'
    ours.done(f"/segments/{number}", {**fields, "text": ["status = active"]})
    assert text_in(two, number) == "status = active"
    both = ours.post(f"/segments/{number}", {**by_row, "text": ["status = active"]})
    assert both.status_code == 422
    assert "both changed" in both.text
    assert text_in(two, number) == "status = active"
    same = {**by_row, "text": ['attributes.plan="free"']}
    ours.done(f"/segments/{number}", same)
    assert text_in(two, number) == 'attributes.plan = "free"'


def test_rows_and_groups_are_added_and_removed_without_saving(ours: Seat, two: Two) -> None:
    number = saved(two, PRO)
    path = f"/segments/{number}"

    def after(deed: str, fields: dict[str, Any]) -> dict[str, list[str]]:
        answer = ours.post(path, {**fields, "do": deed})
        assert answer.status_code == 200
        return fields_of(answer.text)

    fields = fields_of(ours.page(path))
    fields = after("row-0", fields)
    assert fields["text"] == [f"{PRO} and status = active"]
    fields = after("write", {**fields, "match.0": ["any"]})
    assert fields["text"] == [f"{PRO} or status = active"]
    fields = after("group", fields)
    assert fields["text"] == [f"({PRO} or status = active) and status = active"]
    fields = after("drop-0.0", fields)
    assert fields["text"] == ["status = active and status = active"]
    fields = after("drop-1.0", after("drop-0.0", fields))
    for odd in ("drop-9.9", "row-x", "nothing"):
        assert after(odd, fields)["row"] == ["0.0"], odd
    assert text_in(two, number) == PRO


def test_another_field_gets_a_comparison_it_has_and_is_not_complained_of_at_once(
    ours: Seat, two: Two
) -> None:
    fields = fields_of(ours.page(f"/segments/new?list={two.mornings}"))
    fields = {**fields, "subject.0.0": ["opened"]}
    page = ours.post("/segments/new", {**fields, "do": "write"}).text
    assert fields_of(page)["value.0.0"] == ["30"]
    assert fields_of(page)["text"] == ["opened_within(30d)"]
    page = ours.post("/segments/new", {**fields, "subject.0.0": ["attribute"], "do": "write"}).text
    assert 'class="problem"' not in page
    answer = ours.post("/segments/new", {**fields, "subject.0.0": ["attribute"], "name": "A"})
    assert answer.status_code == 422
    assert "Expected the name of an attribute" in answer.text


def test_a_text_is_drawn_and_a_mistake_is_pointed_at(ours: Seat, two: Two) -> None:
    fields = fields_of(ours.page(f"/segments/new?list={two.mornings}"))
    drawn = ours.post("/segments/new", {**fields, "text": ["name exists"], "do": "draw"}).text
    assert fields_of(drawn)["subject.0.0"] == ["name"]
    wrong = {**fields, "name": "A", "text": ["status = active and plan = 1"]}
    for deed, status in (("draw", 200), ("", 422)):
        answer = ours.post("/segments/new", {**wrong, "do": deed})
        assert answer.status_code == status
        assert "Expected a field" in answer.text
        assert "                      ^" in answer.text
        assert fields_of(answer.text)["text"] == ["status = active and plan = 1"]


def test_a_segment_is_made_changed_and_deleted_and_a_broadcast_keeps_its_own(
    ours: Seat, two: Two
) -> None:
    fields = fields_of(ours.page(f"/segments/new?list={two.mornings}"))
    ours.done("/segments/new", {**fields, "name": "Paying <b>", "text": [PRO]})
    with two.sessions.writing() as session:
        made = session.query(Segment).filter_by(list_id=two.mornings).one()
    assert (made.name, made.text) == ("Paying <b>", PRO)
    assert "<b>" not in ours.page("/segments").split("<main")[1].split("</main")[0]
    fields = fields_of(ours.page(f"/segments/{made.id}"))
    ours.done(f"/segments/{made.id}", {**fields, "name": "Payers"})
    assert "Payers" in ours.read("/segments")
    assert "Deleted Payers." in ours.done(f"/segments/{made.id}/delete")
    assert ours.get(f"/segments/{made.id}").status_code == 404
    actions = ("segment.created", "segment.changed", "segment.deleted")
    assert [len(two.audit(action)) for action in actions] == [1, 1, 1]
    assert Broadcast.segment.type.python_type is str, "a copy, no reference"


def test_a_name_that_makes_no_segment_is_told(ours: Seat, two: Two) -> None:
    saved(two, PRO, "Taken")
    fields = fields_of(ours.page(f"/segments/new?list={two.mornings}"))
    for name, sentence in [("", "short name"), ("TAKEN", "already"), ("x" * 201, "at most 200")]:
        answer = ours.post("/segments/new", {**fields, "name": name})
        assert (answer.status_code, sentence in text_of(answer.text)) == (422, True), name


def test_who_is_inside_is_counted_and_ten_are_shown(ours: Seat, two: Two) -> None:
    sent_fields = {"list": two.mornings, "text": "sample(100%)", "shown": ""}
    words = ours.post("/segments/inside", sent_fields)
    said = text_of(words.text)
    assert "People 3" in said
    assert all(address in said for address in (ADA, BOB, CYD))
    nobody = ours.post("/segments/inside", {**sent_fields, "text": 'name = "Nobody"'})
    assert "Nobody of Mornings is inside" in text_of(nobody.text)
    unread = ours.post("/segments/inside", {**sent_fields, "text": "plan = 1"})
    assert "cannot be counted before it can be read" in text_of(unread.text)


def test_the_lists_of_another_newsletter_are_out_of_reach(ours: Seat, two: Two) -> None:
    theirs = f"/segments/{two.rivals_segment}"
    assert ours.get(theirs).status_code == 404
    assert ours.post(theirs, {"name": "Mine", "text": PRO}).status_code == 404
    assert ours.post(f"{theirs}/delete").status_code == 404
    for path in ("/segments/new", "/segments/inside"):
        assert ours.post(path, {"list": two.rivals, "text": PRO, "name": "A"}).status_code == 404
    assert SECRET not in ours.page(f"/segments/new?list={two.rivals}")
    assert SECRET not in ours.page("/segments")
    naming = {"list": two.mornings, "text": 'on("rivals-daily")', "name": "A", "shown": ""}
    for path in ("/segments/new", "/segments/inside"):
        answer = ours.post(path, naming)
        assert "there are: evenings, mornings" in text_of(answer.text)
        assert CYD not in answer.text
        assert SECRET not in answer.text
    with two.sessions.reading() as session:
        assert [each.id for each in session.query(Segment)] == [two.rivals_segment]


def test_what_no_browser_sends_is_answered_all_the_same(ours: Seat, two: Two) -> None:
    odd = {
        "list": two.mornings,
        "name": "A",
        "row": ["0.0", "x.y", "1", "0.1.2", "²", ".", "9" * 50 + ".1"],
        "subject.0.0": "nothing",
        "operator.0.0": "=",
    }
    for deed in ("", "write", "row-0", "drop-0.0"):
        answer = ours.post("/segments/new", {**odd, "do": deed})
        assert answer.status_code in (200, 422), deed


def test_a_beginning_is_everybody_who_is_mailed() -> None:
    assert Sides.beginning().text == "status = active"
