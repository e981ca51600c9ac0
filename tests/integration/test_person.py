"""One person as one document: every table that knows them, and nobody else."""

import json

import pytest

from newsletter.core.db import Sessions
from newsletter.core.errors import NotFoundError
from newsletter.core.tables import Base
from newsletter.migrations import tables
from newsletter.privacy import person
from tests.erased import ADA, ADA_KEY, IP, NAME, with_traces

_OF_NOBODY = {
    *("newsletters", "issues", "issue_revisions", "subscriber_lists", "segments"),
    *("broadcasts", "broadcast_lists", "broadcast_contents", "broadcast_totals"),
    *("leases", "relay_state", "sign_up_counts", "mails_seen"),
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


def test_every_table_is_about_nobody_or_in_the_document(sessions: Sessions) -> None:
    """A new table makes this fail: say here, and in privacy/erasure, what it knows of people."""
    subscriber_id, _ = with_traces(sessions)
    assert tables
    assert set(Base.metadata.tables) == _OF_NOBODY | set(_OF_PEOPLE)
    with sessions.reading() as session:
        document = person.export(session, subscriber_id)
    assert {key for key in document if key not in ("format", "exported_at")} == {
        *_OF_PEOPLE.values()
    }
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
    assert document["consent"][0]["source"] == ADA
    (suppression,) = document["suppressions"]
    assert (suppression["key"], suppression["reason"]) == (ADA_KEY, "complaint")
    assert [mail["kind"] for mail in document["system_mails"]] == ["test", "test"]
    assert document["audit"][0]["action"] == "subscriber.added"
    assert "actor" not in document["audit"][0], "who works here is somebody else"


def test_nobody_has_no_document(sessions: Sessions) -> None:
    with sessions.reading() as session, pytest.raises(NotFoundError, match="no subscriber"):
        person.export(session, 7)
