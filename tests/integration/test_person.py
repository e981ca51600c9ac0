"""One person as one document: every table that knows them, and nobody else."""

import json

import pytest
from sqlalchemy import delete

from newsletter.accounts import audit
from newsletter.broadcasts import freezing
from newsletter.broadcasts.models import BroadcastState
from newsletter.core.db import Sessions
from newsletter.core.errors import NotFoundError
from newsletter.core.sections import TrackingMode
from newsletter.core.tables import Base
from newsletter.issues.models import Newsletter
from newsletter.issues.newsletters import add_newsletter
from newsletter.mail.address import Address
from newsletter.migrations import tables
from newsletter.privacy import history, person
from subscribers import elsewhere
from subscribers.models import Subscriber, SubscriberList
from tests import factories
from tests.erased import ADA as ERASED
from tests.erased import ADA_KEY, IP, NAME, with_traces
from tests.two_newsletters import ADA, CYD, two_newsletters

_OF_NOBODY = {
    *("newsletters", "issues", "issue_revisions", "subscriber_lists", "segments"),
    *("broadcasts", "broadcast_lists", "broadcast_contents", "broadcast_totals"),
    *("leases", "relay_state", "sign_up_counts", "mails_seen"),
    *("images", "broadcast_counts", "list_counts"),
    # Who works here, not who reads.
    *("users", "memberships", "user_sessions", "recovery_codes", "invitations", "api_tokens"),
    "login_failures",
    "erasure_marks",  # of a key, whoever was erased under it
    *("import_runs", "import_parts"),  # files go when they are over, a day later at most
}
_OF_PEOPLE = {
    "subscribers": "subscriber",
    "subscriptions": "subscriptions",
    "consent_events": "consent",
    "suppressions": "suppressions",
    "deliveries": "deliveries",
    "delivery_log": "deliveries",
    "events": "events",
    "engagement": "engagement",
    "outbox": "system_mails",
    "import_lines": "import_lines",
    "audit_events": "audit",
}
_ABOUT_ITSELF = ("format", "exported_at", "newsletter")


def test_every_table_is_about_nobody_or_in_the_document(sessions: Sessions) -> None:
    """A new table makes this fail: say here, and in privacy/erasure, what it knows of people."""
    subscriber_id, _ = with_traces(sessions)
    assert tables
    assert set(Base.metadata.tables) == _OF_NOBODY | set(_OF_PEOPLE)
    with sessions.reading() as session:
        document = person.export(session, subscriber_id)
    assert {key for key in document if key not in _ABOUT_ITSELF} == {*_OF_PEOPLE.values()}
    assert all(document[key] for key in _OF_PEOPLE.values())


def test_the_document_says_what_is_known_of_them_and_of_nobody_else(sessions: Sessions) -> None:
    subscriber_id, broadcast_id = with_traces(sessions)
    with sessions.reading() as session:
        document = person.export(session, subscriber_id)
    text = json.dumps(document)
    assert "bob@example.org" not in text
    assert document["subscriber"]["name"] == NAME
    (delivery,) = document["deliveries"]
    assert (delivery["broadcast"], delivery["subject"]) == (broadcast_id, "Measured twice")
    assert (delivery["newsletter"], delivery["list"]) == ("field-notes", "mornings")
    assert (delivery["state"], delivery["reply_code"]) == ("failed", 450)
    assert [line["state"] for line in delivery["log"]] == ["failed"]
    assert [(event["kind"], event["ip"]) for event in document["events"]] == [
        *(("open", IP), ("click", IP))
    ]
    assert document["consent"][0]["source"] == ERASED
    (suppression,) = document["suppressions"]
    assert (suppression["key"], suppression["reason"]) == (ADA_KEY, "complaint")
    assert [mail["kind"] for mail in document["system_mails"]] == ["test", "test"]
    assert document["audit"][0]["action"] == "subscriber.added"
    assert "actor" not in document["audit"][0], "who works here is somebody else"


def test_of_an_address_alone_is_what_is_kept_about_the_address(sqlite_sessions: Sessions) -> None:
    """As of somebody whose subscription is gone while old mails are kept."""
    with_traces(sqlite_sessions)
    with sqlite_sessions.writing() as session:
        session.execute(delete(Subscriber).where(Subscriber.address_key == ADA_KEY))
        audit.record(session, "A", "subscriber.exported", None)
    with sqlite_sessions.reading() as session:
        document = person.export_address(session, Address.parse(ERASED))
    kept = {key for key in _OF_PEOPLE.values() if document[key]}
    assert kept == {
        *("subscriber", "suppressions", "deliveries", "events", "system_mails", "import_lines")
    }
    assert document["subscriber"] == {"id": None, "email": "Ada.Lovelace@example.org"}
    assert "bob@example.org" not in json.dumps(document)


def test_nobody_has_no_document(sessions: Sessions) -> None:
    with sessions.reading() as session, pytest.raises(NotFoundError, match="no subscriber"):
        person.export(session, 7)


def test_one_newsletter_tells_nothing_of_another(sessions: Sessions) -> None:
    with sessions.writing() as session:
        ours = add_newsletter(session, Newsletter(slug="ours", name="Ours"))
        session.flush()
    two = two_newsletters(sessions, ours.id)
    cyd = two.people[CYD]
    with sessions.writing() as session:
        broadcasts = []
        for slug in ("ours", "rivals"):
            text = factories.MARKDOWN.replace("newsletter: field-notes", f"newsletter: {slug}")
            issue = factories.stored_issue(session, text)
            on = session.get_one(SubscriberList, two.mornings if slug == "ours" else two.rivals)
            broadcasts.append(factories.scheduled(session, issue, [on]))
            broadcasts[-1].state = BroadcastState.FREEZING
        audit.record(session, "A", "subscriber.added", cyd, list="rivals-daily")
        audit.record(session, "B", "subscriber.changed", cyd, newsletter="ours")
        audit.record(session, "C", "subscriber.exported", cyd)
    for broadcast in broadcasts:
        freezing.freeze(sessions, broadcast.id, TrackingMode.AGGREGATE)
    with sessions.reading() as session:
        document = person.export(session, cyd, two.ours)
        known = session.get_one(Subscriber, cyd)
        mails = history.mails_of(session, known, two.ours, before=None, limit=5)
        consent = history.consent_of(session, cyd, two.ours, before=None, limit=5)
        assert elsewhere.is_elsewhere(session, cyd, two.ours)
        assert not elsewhere.is_elsewhere(session, two.people[ADA], two.ours)
        assert len(history.audit_of(session, cyd, None, "")) == 3
        assert (
            history.mails_of(session, known, two.ours, before=mails[0].broadcast.id, limit=5) == []
        )
        standing = history.subscriptions_of(session, cyd, two.ours)
    assert [mail.broadcast.id for mail in mails] == [broadcasts[0].id]
    assert [on.slug for _, on in standing] == ["mornings"]
    assert {name for _, name in consent} == {"Mornings"}
    assert "rivals" not in json.dumps(document).lower()
    assert document["newsletter"] == "ours"
    assert [each["newsletter"] for each in document["deliveries"]] == ["ours"]
    assert [each["action"].partition(".")[2] for each in document["audit"]] == [
        *("changed", "exported")
    ]
