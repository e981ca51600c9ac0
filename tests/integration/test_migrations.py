"""Migrations: one head, and the tables they make are those the models describe."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import select, text

from newsletter.broadcasts import accounting, control, freezing
from newsletter.broadcasts.models import Broadcast, BroadcastState, Delivery, DeliveryState
from newsletter.core.clock import now
from newsletter.core.db import Sessions, connect
from newsletter.core.errors import SchemaError
from newsletter.core.sections import TrackingMode
from newsletter.migrations import schema
from subscribers.models import EVERYWHERE, ConsentEvent, Suppression
from tests import factories

Rows = Iterable[tuple[str, Mapping[str, object]]]
DAY = datetime(2026, 6, 17, tzinfo=UTC)


def test_there_is_one_head() -> None:
    assert ScriptDirectory.from_config(schema.config()).get_heads() == [schema.head()]


def test_the_tables_are_those_of_the_models(sessions: Sessions) -> None:
    assert schema.is_current(sessions)
    assert schema.drift(sessions) == []


def test_a_missing_column_is_a_difference(sessions: Sessions) -> None:
    with sessions.writing() as session:
        session.connection().exec_driver_sql("ALTER TABLE broadcasts DROP COLUMN pause_reason")
    assert any("pause_reason" in difference for difference in schema.drift(sessions))


@pytest.mark.parametrize(
    ("before", "reason", "detail"),
    [
        ("operator", "operator", ""),
        ("does not add up: candidates 2 = …", "health", "does not add up: candidates 2 = …"),
        ("relay main: login: 535 no", "breaker", "relay main: login: 535 no"),
    ],
)
def test_a_pause_of_an_earlier_version_says_by_whom(
    tmp_path: Path, postgresql_database: str, before: str, reason: str, detail: str
) -> None:
    for url in (f"sqlite:///{tmp_path / 'newsletter.db'}", postgresql_database):
        sessions = connect(url)
        _fill(sessions, "0001", _a_paused_broadcast(before))
        schema.upgrade(sessions)
        with sessions.reading() as session:
            (broadcast,) = session.scalars(select(Broadcast))
        assert (broadcast.pause_reason, broadcast.pause_detail) == (reason, detail)
        assert (broadcast.on_in_doubt, broadcast.resume_at) == ("hold", None)
        assert schema.drift(sessions) == []
        sessions.engine.dispose()


@pytest.mark.parametrize("state", [BroadcastState.FREEZING, BroadcastState.PAUSED])
def test_a_half_frozen_broadcast_is_frozen_to_its_end_with_everybody_once(
    tmp_path: Path, postgresql_database: str, state: BroadcastState
) -> None:
    """By subscriber id it had come to cyd; by address that would lose ada, or write zoe twice."""
    for url in (f"sqlite:///{tmp_path / 'newsletter.db'}", postgresql_database):
        sessions = connect(url)
        _fill(sessions, "0004", [*_four_readers(), *_half_frozen(state), *_being_sent()])
        schema.upgrade(sessions)
        assert _ledger(sessions) == {(2, "zoe@example.org"): 1}
        if state is BroadcastState.PAUSED:
            with sessions.writing() as session:
                control.resume(session, 1)
        freezing.freeze(sessions, 1, TrackingMode.AGGREGATE)
        mailed = {(1, f"{name}@example.org"): 1 for name in ("ada", "bob", "zoe")}
        assert _ledger(sessions) == {(2, "zoe@example.org"): 1} | mailed
        with sessions.reading() as session:
            frozen, accounts = session.get_one(Broadcast, 1), accounting.account(session, 1)
        assert (frozen.state, frozen.exclusions) == (BroadcastState.SENDING, {"unsubscribed": 1})
        assert (accounts.candidates, accounts.gap) == (4, 0)
        sessions.engine.dispose()


def test_where_somebody_came_from_goes_where_it_is_forgotten_in_time(
    tmp_path: Path, postgresql_database: str
) -> None:
    came = {
        "192.0.2.1 Mozilla/5.0 (X11)": ("192.0.2.1", "Mozilla/5.0 (X11)"),
        "192.0.2.2": ("192.0.2.2", ""),
        "2001:db8::1 curl/8.0": ("2001:db8::1", "curl/8.0"),
        "::1": ("::1", ""),
        "Mozilla/5.0 (X11)": ("", "Mozilla/5.0 (X11)"),
        "curl/8.0": ("", "curl/8.0"),
        "": ("", ""),
    }
    for url in (f"sqlite:///{tmp_path / 'newsletter.db'}", postgresql_database):
        sessions = connect(url)
        _fill(sessions, "0005", [*_four_readers(), *_evidence(came), *_suppressed()])
        schema.upgrade(sessions)
        with sessions.reading() as session:
            events = session.scalars(select(ConsentEvent).order_by(ConsentEvent.id)).all()
            (suppressed,) = session.scalars(select(Suppression))
        *visits, imported = events
        assert [(event.ip, event.user_agent) for event in visits] == list(came.values())
        assert {event.source for event in visits} == {""}
        assert (imported.source, imported.ip) == ("192.0.2.9 people.csv:1", "")
        assert (suppressed.key, suppressed.list_id) == ("zoe@example.org", EVERYWHERE)
        assert schema.drift(sessions) == []
        sessions.engine.dispose()


def _evidence(sources: Iterable[str]) -> Rows:
    """Rows as version 0005 has them; the last was no visit."""
    of = {"subscriber_id": 1, "list_id": 1, "change": "unsubscribed", "at": DAY, "wording": ""}
    visits = [("one-click", source) for source in sources]
    for number, (method, source) in enumerate([*visits, ("import", "192.0.2.9 people.csv:1")], 1):
        yield "consent_events", of | {"id": number, "method": method, "source": source}


def _suppressed() -> Rows:
    why = {"reason": "gone", "source": "delivery 1", "created_at": DAY}
    yield "suppressions", {"address_key": "zoe@example.org"} | why


def _ledger(sessions: Sessions) -> Mapping[tuple[int, str], int]:
    with sessions.reading() as session:
        rows = session.execute(select(Delivery.broadcast_id, Delivery.address))
        return Counter((row.broadcast_id, row.address) for row in rows)


def _fill(sessions: Sessions, revision: str, rows: Rows) -> None:
    """A database as that version left it."""
    with sessions.writing() as session:
        connection = session.connection()
        command.upgrade(schema.config(connection), revision)
        for table, row in rows:
            names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)


def _a_paused_broadcast(pause_reason: str) -> Rows:
    """Rows as version 0001 has them."""
    yield from _an_issue()
    yield "broadcasts", _broadcast(1, "paused") | {"pause_reason": pause_reason}


def _an_issue() -> Rows:
    words = ["name", "sender_name", "sender_address", "reply_to", "postal_address", "list_id"]
    yield (
        "newsletters",
        {"id": 1, "slug": "n", "tracking_mode": "off", "created_at": DAY}
        | dict.fromkeys(words, ""),
    )
    yield (
        "issues",
        {"id": 1, "newsletter_id": 1, "date": DAY.date(), "revision": 1}
        | dict.fromkeys(["subject", "source", "source_name"], "")
        | dict.fromkeys(["created_at", "updated_at"], DAY),
    )


def _broadcast(number: int, state: str, **known: object) -> dict[str, object]:
    return (
        {"id": number, "issue_id": 1, "state": state, "freeze_cursor": 0, "candidates": 0}
        | {"exclusions": "{}", "start_at": DAY, "created_at": DAY}
        | {"not_after": now() + timedelta(days=1)}
        | known
    )


def _four_readers() -> Rows:
    """Whose ids are not in the order of their addresses; cyd left."""
    yield from _an_issue()
    yield "subscriber_lists", {"id": 1, "slug": "a", "name": "a", "created_at": DAY}
    for number, name in enumerate(["zoe", "cyd", "bob", "ada"], start=1):
        address = f"{name}@example.org"
        yield (
            "subscribers",
            {"id": number, "email": address, "address_key": address, "domain_key": "example.org"}
            | {"name": "", "locale": "", "time_zone": "", "attributes": "{}", "created_at": DAY},
        )
        yield (
            "subscriptions",
            {"subscriber_id": number, "list_id": 1, "tracking_consent": "unknown"}
            | {"status": "unsubscribed" if name == "cyd" else "active", "subscribed_at": DAY},
        )


def _half_frozen(state: BroadcastState) -> Rows:
    """Broadcast 1 as version 0004 left it after zoe and cyd."""
    so_far = {"freeze_cursor": 2, "candidates": 2, "exclusions": '{"unsubscribed": 1}'}
    yield "broadcasts", _broadcast(1, state, pause_detail="", **so_far)
    yield "broadcast_lists", {"broadcast_id": 1, "list_id": 1, "position": 0}
    yield (
        "broadcast_contents",
        {"broadcast_id": 1, "content_hash": ""}
        | {"compiled": json.dumps(factories.compiled().email.to_json())}
        | {"identity": json.dumps(factories.identity().to_json())},
    )
    yield "deliveries", _to_zoe(1)


def _being_sent() -> Rows:
    """Broadcast 2, whose freezing was at its end."""
    at_its_end = {"freeze_cursor": 1, "candidates": 1, "frozen_at": DAY}
    yield "broadcasts", _broadcast(2, "sending", pause_detail="", **at_its_end)
    yield "deliveries", _to_zoe(2)


def _to_zoe(broadcast_id: int) -> dict[str, object]:
    return (
        {"broadcast_id": broadcast_id, "subscriber_id": 1, "list_id": 1, "wire_form": 0}
        | {"address": "zoe@example.org", "address_key": "zoe@example.org"}
        | {"domain_key": "example.org", "state": int(DeliveryState.PENDING), "due_at": DAY}
        | {"attempt": 0}
        | dict.fromkeys(["relay", "enhanced_code", "reply_text", "reason"], "")
    )


def test_upgrading_again_changes_nothing(sessions: Sessions) -> None:
    schema.upgrade(sessions)
    schema.prepare(sessions)
    assert schema.is_current(sessions)


def test_a_fresh_postgresql_is_the_operators_to_upgrade(postgresql_database: str) -> None:
    sessions = connect(postgresql_database)
    with pytest.raises(SchemaError, match="newsletter db upgrade"):
        schema.prepare(sessions)
    schema.upgrade(sessions)
    schema.prepare(sessions)
    sessions.engine.dispose()


def test_the_ledger_is_vacuumed_long_before_a_fifth_of_it_changed(postgresql_database: str) -> None:
    sessions = connect(postgresql_database)
    schema.upgrade(sessions)
    with sessions.reading() as session:
        found = session.execute(
            text("SELECT relname, reloptions FROM pg_class WHERE reloptions IS NOT NULL")
        )
        settings = {table: dict(option.split("=") for option in of) for table, of in found}
    sessions.engine.dispose()
    for table in ("deliveries", "events", "outbox"):
        assert float(settings[table]["autovacuum_vacuum_scale_factor"]) <= 0.02
