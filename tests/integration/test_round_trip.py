"""Export, an empty database, import: everything about people is as it was."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from newsletter.core.db import Sessions
from newsletter.core.errors import InputError
from newsletter.core.tables import Base
from subscribers import lists, subscriptions
from subscribers.evidence import Evidence
from subscribers.exporting import Form, Selection, count_rows, export
from subscribers.imports import importing
from subscribers.imports.fates import Fate
from subscribers.imports.importing import import_file
from subscribers.imports.options import ImportOptions, ImportReport
from subscribers.models import (
    ConsentEvent,
    LeaveReason,
    Subscriber,
    SubscriberList,
    Subscription,
    SubscriptionStatus,
    Suppression,
    SuppressionReason,
    TrackingConsent,
)
from subscribers.suppressions import suppress
from tests import factories

FORM = Evidence("form", wording="Yes, please", form="readers: page", ip="192.0.2.7", user_agent="B")
LINK = Evidence("one-click", ip="2001:db8::1", user_agent="Mail, with = and \n a line")


def test_everything_about_people_travels(sessions: Sessions, tmp_path: Path) -> None:
    for form in Form:
        file = tmp_path / f"all.{form}"
        with sessions.writing() as session:
            _crowd(session)
        before = _state(sessions)
        with sessions.reading() as session:
            assert export(session, Selection(), file, form) == 9
            assert count_rows(session, Selection()) == 9
        _wipe(sessions)
        assert _state(sessions) == {}
        assert _import(sessions, file).counts[Fate.BAD] == 0
        assert _state(sessions) == before, form
        assert _import(sessions, file).counts == {Fate.PRESENT: 9}
        assert _state(sessions) == before, form
        _wipe(sessions)


def test_who_left_a_list_and_is_on_another_travels_row_by_row(
    sqlite_sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "CHUNK_ROWS", 1)
    with sqlite_sessions.writing() as session:
        issue = factories.stored_issue(session)
        one, two, three, four = (factories.a_list(session, f"List {n}", issue) for n in range(4))
        for on in (one, two, four):
            factories.subscribed(session, on, ["ada@example.org"])
        ada = factories.person(session, "ada@example.org")
        for on in (one, two):
            left = subscriptions.find_subscription(session, ada.id, on.id)
            assert left
            subscriptions.end(session, left, LINK)
            subscriptions.leave_again(session, left, FORM)
        for on in (two, three):
            subscriptions.request(session, ada, on, FORM)
    before = _state(sqlite_sessions)
    for form in Form:
        file = tmp_path / f"all.{form}"
        with sqlite_sessions.reading() as session:
            export(session, Selection(), file, form)
        _wipe(sqlite_sessions, but=SubscriberList)
        assert _import(sqlite_sessions, file).counts == {Fate.ADDED: 4}
        assert _state(sqlite_sessions) == before, form


@pytest.mark.parametrize("form", list(Form))
def test_one_list_travels_to_another(sessions: Sessions, tmp_path: Path, form: Form) -> None:
    with sessions.writing() as session:
        _crowd(session)
        other = factories.a_list(session, "Elsewhere")
        readers = lists.find_list(session, "mornings")
    file = tmp_path / f"one.{form}"
    with sessions.reading() as session:
        assert export(session, Selection(readers.id), file, form) == 6
    assert "evenings" not in file.read_text()
    import_file(sessions, file, lambda _: other.id, ImportOptions(list_named=_list_named))
    state = _state(sessions)
    for person in state.values():
        assert person["lists"].get("mornings") == person["lists"].get("elsewhere")


def test_who_is_exported_can_be_narrowed_by_a_condition(sessions: Sessions, tmp_path: Path) -> None:
    with sessions.writing() as session:
        _crowd(session)
        readers = lists.find_list(session, "mornings")
    active = Subscription.status == SubscriptionStatus.ACTIVE
    with sessions.reading() as session:
        chosen = Selection(readers.id, active & (Subscriber.locale == "de"))
        assert count_rows(session, chosen) == 1
        assert export(session, chosen, tmp_path / "some.csv") == 1


def test_an_export_is_no_formula_for_a_spreadsheet(sessions: Sessions, tmp_path: Path) -> None:
    with sessions.writing() as session:
        _crowd(session)
    with sessions.reading() as session:
        export(session, Selection(), tmp_path / "all.csv")
    cells = (tmp_path / "all.csv").read_text()
    assert "'=HYPERLINK" in cells
    assert ",=HYPERLINK" not in cells


def test_a_line_of_json_that_is_no_person_is_a_bad_row_kept_for_mending(
    sessions: Sessions, tmp_path: Path
) -> None:
    file, bad = tmp_path / "people.jsonl", tmp_path / "bad.jsonl"
    lines = [
        '{"email": "ada@example.org", "attributes": {"n": 1}, "subscriptions": [{"list": "One"}]}',
        '{"email": "bob@example.org", "subscriptions": [{"list": "One", "status": "gone"}]}',
        '{"email": "cyd@example.org", "subscriptions": "many"}',
        '["dee@example.org"]',
        '{"email": "eve@example.org", "subscriptions": [{"list": "!"}]}',
        '{"email": "fay@example.org", "suppressed": [{"reason": "erased"}], "subscriptions": []}',
        '{"email": "gus@example.org", "history": [{"change": "hacked", "at": "2025-01-01"}]}',
        '{"email": "hal@example.org", "name": "\\u0000", "subscriptions": []}',
        "{not json",
    ]
    file.write_text("\n".join(lines))
    report = _import(sessions, file, bad_rows=bad)
    assert report.counts == {Fate.ADDED: 1, Fate.BAD: 8}
    kept = bad.read_text().splitlines()
    assert len(kept) == 8
    assert json.loads(kept[0])["error"].startswith("status: expected one of pending, active")
    assert kept[-1] == "{not json"
    file.write_text(kept[0].replace('"gone"', '"active"'))
    assert _import(sessions, file).counts == {Fate.ADDED: 1}


@pytest.mark.parametrize("answers", ['["x"]', '{"a": 1}', '{"name": "LONG"}'])
def test_answers_of_a_sign_up_are_texts_of_no_great_length(
    sessions: Sessions, tmp_path: Path, answers: str
) -> None:
    file = tmp_path / "people.jsonl"
    told = answers.replace("LONG", "x" * 201)
    file.write_text(f'{{"email": "ada@example.org", "list": "One", "answers": {told}}}')
    report = _import(sessions, file)
    assert report.counts == {Fate.BAD: 1}
    assert "answers: expected a JSON object" in report.first_problems[0]


def test_words_longer_than_there_is_room_for_are_cut(sessions: Sessions, tmp_path: Path) -> None:
    file = tmp_path / "people.jsonl"
    words = ("method", "source", "form", "ip", "user_agent", "wording", "remark")
    event = {"change": "unsubscribed", "at": "2025-01-02"} | dict.fromkeys(words, "x" * 1_000)
    suppressed = [{"reason": "gone", "source": "x" * 1_000}]
    person = {"email": "ada@example.org", "list": "One", "history": [event]}
    file.write_text(json.dumps(person | {"suppressed": suppressed}))
    assert _import(sessions, file).counts == {Fate.SUPPRESSED: 1}
    with sessions.reading() as session:
        (kept,) = session.scalars(select(ConsentEvent))
    assert (len(kept.method), len(kept.source), len(kept.wording)) == (40, 300, 1_000)


def test_a_row_that_names_no_list_needs_one(sessions: Sessions, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("email\nada@example.org\n")
    with pytest.raises(InputError, match=r"people\.csv:2: list: expected --list NAME"):
        _import(sessions, file)
    assert _state(sessions) == {}


def _crowd(session: Session) -> None:
    """Ada is on three lists, others on one or none; each status, and each kind of evidence."""
    mornings, evenings, weekly = (
        factories.a_list(session, name) for name in ("Mornings", "Evenings", "Weekly")
    )
    ada = factories.person(session, "Ada@example.org", '=HYPERLINK("x")')
    ada.locale, ada.time_zone = "de", "Europe/Berlin"
    ada.attributes = {"tags": ["early", "b,c"], "plan": {"name": "pro"}, "n": 1.5, "é": None}
    one = subscriptions.request(session, ada, mornings, FORM)
    subscriptions.confirm(session, one, FORM)
    subscriptions.set_tracking_consent(session, one, TrackingConsent.GRANTED, FORM)
    one.paused_until = datetime(2031, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    subscriptions.request(session, ada, evenings, FORM)
    left = subscriptions.subscribe(session, ada, weekly, factories.EVIDENCE)
    subscriptions.end(session, left, LINK)
    factories.subscribed(session, mornings, ["bob@example.org"], TrackingConsent.DENIED)
    factories.subscribed(session, mornings, ["cyd@example.org"])
    suppress(session, "cyd@example.org", reason=SuppressionReason.GONE, source="5.1.1 = gone")
    suppress(
        session,
        "bob@example.org",
        reason=SuppressionReason.COMPLAINT,
        source="by mail",
        list_id=evenings.id,
    )
    factories.person(session, "dee@example.org", "On no list")
    eve, fay = (factories.person(session, f"{name}@example.org") for name in ("eve", "fay"))
    back = subscriptions.subscribe(session, eve, mornings, factories.EVIDENCE)
    subscriptions.end(session, back, Evidence("page", wording=" \n word for word "))
    (event,) = session.scalars(select(ConsentEvent).where(ConsentEvent.method == "page"))
    event.reason, event.remark = LeaveReason.OTHER, "  so many\n"
    subscriptions.request(session, eve, mornings, FORM)
    subscriptions.confirm(session, back, FORM)
    asking = subscriptions.request(session, fay, mornings, FORM)
    asking.answers = {"name": "Fay", "company": '=sum(), "Ltd"'}
    (known_long,) = factories.subscribed(session, mornings, ["jürgen@bücher.org"])
    known_long.subscribed_at -= timedelta(days=300)
    session.flush()


def _state(sessions: Sessions) -> dict[str, Any]:
    """All that the tables say about people, by address: ids alone may differ."""
    with sessions.reading() as session:
        slugs = {found.id: found.slug for found in session.scalars(select(SubscriberList))}
        people = {
            person.id: {
                **_columns(person, "id"),
                "lists": {},
                "suppressed": [],
            }
            for person in session.scalars(select(Subscriber))
        }
        for found in session.scalars(select(Subscription)):
            standing = _columns(found, "id", "subscriber_id", "list_id") | {"events": []}
            people[found.subscriber_id]["lists"][slugs[found.list_id]] = standing
        for event in session.scalars(select(ConsentEvent).order_by(ConsentEvent.id)):
            standing = people[event.subscriber_id]["lists"][slugs[event.list_id]]
            standing["events"].append(_columns(event, "id", "subscriber_id", "list_id"))
        by_key = {person["address_key"]: person for person in people.values()}
        for each in session.scalars(select(Suppression).order_by(Suppression.id)):
            row = _columns(each, "id", "list_id") | {"list": slugs.get(each.list_id)}
            by_key[each.key]["suppressed"].append(row)
        return by_key


def _columns(row: Any, *but: str) -> dict[str, Any]:
    return {c.key: getattr(row, c.key) for c in row.__table__.columns if c.key not in but}


def _wipe(sessions: Sessions, but: type[Base] | None = None) -> None:
    with sessions.writing() as session:
        for table in (ConsentEvent, Subscription, Suppression, Subscriber, SubscriberList):
            if table is not but:
                session.execute(delete(table))


def _list_named(session: Session, name: str) -> int:
    found = session.scalar(select(SubscriberList.id).where(SubscriberList.slug == name.lower()))
    return found or lists.create_list(session, name).id


def _import(sessions: Sessions, file: Path, **options: Any) -> ImportReport:
    return import_file(sessions, file, None, ImportOptions(list_named=_list_named, **options))
