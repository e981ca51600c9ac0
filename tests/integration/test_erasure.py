"""Erasing a person: named nowhere any more, counted as before, and not brought back."""

from collections.abc import Sequence

import pytest
from sqlalchemy import func, select

from newsletter.accounts import audit
from newsletter.broadcasts import accounting, control, freezing, ledger, offers
from newsletter.broadcasts.claims import skip_unmailable
from newsletter.broadcasts.ledger import Outcome
from newsletter.broadcasts.models import (
    Broadcast,
    BroadcastState,
    Delivery,
    DeliveryState,
    PauseReason,
    SkipReason,
)
from newsletter.broadcasts.offers import Conclusion
from newsletter.broadcasts.sweep import sweep
from newsletter.core.db import Sessions
from newsletter.core.errors import ConfigurationError, NotFoundError, RefusedError
from newsletter.core.sections import TrackingMode
from newsletter.core.tokens import TokenKeys
from newsletter.mail.address import Address
from newsletter.mail.replies import Reply
from newsletter.privacy import compaction, erasure, traces
from newsletter.rendering.mail_tokens import Door, LeaveToken, TrackingToken
from newsletter.reports import figures
from newsletter.sending.models import SystemMail
from newsletter.sending.suppressing import suppress_the_gone
from newsletter.tracking import leaving
from newsletter.tracking.models import Event, EventKind
from newsletter.tracking.recording import Fetch, Visit, record
from subscribers import subscriptions, suppressions
from subscribers.filters.language import parse
from subscribers.filters.writing import written
from subscribers.models import Segment, Subscriber, Suppression, SuppressionReason
from tests import conftest, factories
from tests.erased import ADA, ADA_KEY, IP, KEY, SECRETS, dump, raw_bytes, with_traces
from tests.ledger_moves import claim, expire_leases, intend, states
from tests.servers import packages

S = DeliveryState
HASH = KEY.hashed(ADA_KEY)


def erase(sessions: Sessions, subscriber_id: int) -> None:
    with sessions.writing() as session:
        erasure.erase(session, subscriber_id, KEY, "test")


def one_of(sessions: Sessions, address: str = ADA) -> int:
    with sessions.reading() as session:
        key = Address.parse(address).key
        return session.scalars(select(Subscriber.id).where(Subscriber.address_key == key)).one()


def rows(sessions: Sessions) -> Sequence[Delivery]:
    with sessions.reading() as session:
        return session.scalars(select(Delivery).order_by(Delivery.id)).all()


def test_the_erased_are_nowhere_in_the_whole_dump(sessions: Sessions) -> None:
    if sessions.dialect == "postgresql":
        conftest.need(packages.PG_DUMP)
    person, _ = with_traces(sessions)
    before = dump(sessions)
    assert [secret for secret in SECRETS if secret not in before] == []
    erase(sessions, person)
    after = dump(sessions)
    assert [secret for secret in SECRETS if secret in after] == []
    assert "bob@example.org" in after
    assert f"#{HASH}" in after


@pytest.mark.parametrize("spelling", [ADA_KEY, ADA, "ada.lovelace@EXAMPLE.ORG"])
def test_a_filter_loses_the_address_and_no_other(sessions: Sessions, spelling: str) -> None:
    person, broadcast_id = with_traces(sessions)
    others = f'"an-{ADA_KEY}", "{ADA_KEY}.uk", "the.{ADA_KEY}"'
    text = f'not email in ("{spelling}", {others}) and attributes.by contains "<{spelling}>"'
    with sessions.writing() as session:
        session.get_one(Segment, 1).text = text
        session.get_one(Broadcast, broadcast_id).segment = text
    erase(sessions, person)
    with sessions.reading() as session:
        kept = session.get_one(Segment, 1).text
        assert session.get_one(Broadcast, broadcast_id).segment == kept
    assert kept == text.replace(f'"{spelling}"', '"erased@invalid"').replace(
        f"<{spelling}>", "<erased@invalid>"
    )
    assert written(parse(kept)) == kept


def test_states_counts_and_figures_stay(sessions: Sessions) -> None:
    person, broadcast_id = with_traces(sessions)

    def standing() -> object:
        with sessions.reading() as session:
            found = control.find_broadcast(session, broadcast_id)
            return figures.report(session, found), states(sessions, broadcast_id)

    before = standing()
    erase(sessions, person)
    assert standing() == before
    (row, _) = rows(sessions)
    assert (row.address, row.address_key, row.domain_key, row.reply_text) == ("", HASH, "", "")
    assert (row.state, row.reason, row.reply_code) == (S.FAILED, "temporary", 450)


def test_what_waits_is_skipped_and_the_books_add_up(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, [ADA, "bob@example.org"])
    erase(sessions, one_of(sessions))
    (row, _) = rows(sessions)
    assert (row.state, row.reason, row.address) == (S.SKIPPED, SkipReason.UNSUBSCRIBED, "")
    relay = factories.memory()
    runtime = factories.runtime(sessions, TokenKeys.from_secrets("x" * 32, []))
    factories.deliver(runtime, relay, broadcast_id)
    with sessions.reading() as session:
        assert control.find_broadcast(session, broadcast_id).state is BroadcastState.DONE
        accounts = accounting.account(session, broadcast_id)
    assert (accounts.accepted, accounts.skipped) == (1, 1)


def test_a_claimed_row_is_found_unmailable_by_whoever_holds_it(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, [ADA])
    ours = claim(sessions, broadcast_id)
    erase(sessions, ours.rows[0].recipient.subscriber_id)
    assert states(sessions, broadcast_id) == [S.CLAIMED]
    assert not intend(sessions, ours)
    with sessions.writing() as session:
        assert skip_unmailable(session, broadcast_id, ours.token) == {ours.rows[0].delivery_id}
    assert rows(sessions)[0].reason == SkipReason.UNSUBSCRIBED


def test_a_claimed_row_whose_worker_died_is_not_offered_either(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, [ADA])
    ours = claim(sessions, broadcast_id)
    erase(sessions, ours.rows[0].recipient.subscriber_id)
    expire_leases(sessions)
    sweep(sessions)
    again = claim(sessions, broadcast_id)
    assert [row.may_be_mailed for row in again.rows] == [False]


@pytest.mark.parametrize(
    ("code", "state", "reason"),
    [(250, S.ACCEPTED, ""), (550, S.FAILED, "gone"), (0, S.IN_DOUBT, "no reply")],
)
def test_a_row_on_the_wire_concludes_and_names_nobody_again(
    sessions: Sessions, code: int, state: DeliveryState, reason: str
) -> None:
    broadcast_id = factories.sending(sessions, [ADA])
    ours = claim(sessions, broadcast_id)
    assert intend(sessions, ours)
    erase(sessions, ours.rows[0].recipient.subscriber_id)
    reply = Reply(code, "5.1.1" if code == 550 else "2.0.0", "said") if code else None
    outcome = Outcome(ours.rows[0].delivery_id, state, reason, reply)
    with sessions.writing() as session:
        assert offers.conclude(session, [Conclusion(ours.token, outcome, ADA_KEY)])
        assert not suppress_the_gone(session, outcome, ADA_KEY)
    assert states(sessions, broadcast_id) == [state]
    assert "lovelace" not in dump(sessions)


def test_a_resent_doubt_of_the_erased_is_skipped(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, [ADA])
    ours = claim(sessions, broadcast_id)
    assert intend(sessions, ours)
    expire_leases(sessions)
    with sessions.writing() as session:
        ledger.reap(session)
    assert states(sessions, broadcast_id) == [S.IN_DOUBT]
    erase(sessions, ours.rows[0].recipient.subscriber_id)
    with sessions.writing() as session:
        ledger.resolve(session, S.PENDING, "resent by hand", Delivery.broadcast_id == broadcast_id)
    assert [row.may_be_mailed for row in claim(sessions, broadcast_id).rows] == [False]


def test_who_is_erased_while_a_broadcast_freezes_is_not_written_into_it(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freezing, "CHUNK_ROWS", 1)
    people = [f"{letter}@example.org" for letter in "abcde"]
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        readers = factories.a_list(session, issue=issue)
        factories.subscribed(session, readers, people)
        broadcast = factories.scheduled(session, issue, [readers])
        broadcast.state = BroadcastState.FREEZING
    write_chunk = freezing._Freezer.write_chunk
    erased: list[int] = []

    def erasing(freezer: freezing._Freezer) -> bool:
        if freezer.place == 2 and not erased:
            with sessions.reading() as session:
                keys = select(Subscriber).where(Subscriber.address_key.in_(["b@example.org"]))
                boundary = session.scalars(keys).one().id
            with pytest.raises(RefusedError, match="try again in a minute"):
                erase(sessions, boundary)
            erased.append(one_of(sessions, "d@example.org"))
            erase(sessions, erased[0])
        return write_chunk(freezer)

    monkeypatch.setattr(freezing._Freezer, "write_chunk", erasing)
    freezing.freeze(sessions, broadcast.id, TrackingMode.AGGREGATE)
    with sessions.reading() as session:
        assert session.get_one(Broadcast, broadcast.id).state is BroadcastState.FREEZING
    freezing.freeze(sessions, broadcast.id, TrackingMode.AGGREGATE)
    assert list(factories.deliveries(sessions, broadcast.id)) == [
        *("a@example.org", "b@example.org", "c@example.org", "e@example.org")
    ]
    with sessions.reading() as session:
        frozen = session.get_one(Broadcast, broadcast.id)
        assert (frozen.state, frozen.candidates) == (BroadcastState.SENDING, 4)
    erase(sessions, one_of(sessions, "e@example.org"))
    after = dump(sessions)
    assert "d@example.org" not in after
    assert "e@example.org" not in after, "the last one that freezing saw"


def test_evidence_of_later_visits_by_an_old_mail_is_not_kept(sessions: Sessions) -> None:
    person, broadcast_id = with_traces(sessions)
    (row, _) = rows(sessions)
    erase(sessions, person)
    with sessions.writing() as session:
        newsletter_id = session.get_one(Broadcast, broadcast_id).issue.newsletter_id
        visit = Visit(ip=IP, user_agent="AdaBrowser/1")
        record(session, [Fetch(EventKind.OPEN, TrackingToken(broadcast_id, row.id), visit)])
        token = LeaveToken(Door.HEADER, newsletter_id, person, broadcast_id, row.id)
        assert not leaving.leave(session, token, visit)
        assert session.scalar(select(func.count()).where(Event.ip != "")) == 0
        assert leaving.who(session, token) is None


def test_the_suppression_becomes_a_hash_that_covers_the_address(sessions: Sessions) -> None:
    person, _ = with_traces(sessions)
    erase(sessions, person)
    with sessions.reading() as session:
        (kept,) = suppressions.each_suppression(session)
        assert (kept.key, kept.reason) == (f"#{HASH}", SuppressionReason.ERASED)
        covered = suppressions.covering(session, Address.parse(ADA), erased=KEY)
        assert covered
        assert covered.id == kept.id
        assert suppressions.covering(session, Address.parse(ADA), erased=None) is None
        assert session.scalar(select(func.count()).select_from(SystemMail)) == 0


def test_the_trail_says_that_somebody_was_erased_and_not_whom(sessions: Sessions) -> None:
    person, _ = with_traces(sessions)
    erase(sessions, person)
    with sessions.reading() as session:
        last, first = audit.trail(session, subscriber_id=person)
    assert (first.action, last.action) == ("subscriber.added", "subscriber.erased")
    assert (last.actor, last.details) == ("test", {"deliveries": 1, "lists": [1]})


def test_an_id_is_erased_once(sessions: Sessions) -> None:
    person, _ = with_traces(sessions)
    erase(sessions, person)
    with pytest.raises(NotFoundError, match="no subscriber"):
        erase(sessions, person)


def test_an_address_of_old_mails_alone_can_be_erased(sessions: Sessions) -> None:
    with sessions.writing() as session:
        suppressions.suppress(session, ADA_KEY, reason=SuppressionReason.GONE, source="x")
        found = traces.find_traces(session, Address.parse(ADA))
        assert (found.any, found.suppressions, found.subscriptions) == (True, 1, 0)
        erasure.erase_address(session, Address.parse(ADA), KEY, "test")
        assert not traces.find_traces(session, Address.parse(ADA)).any
        assert session.scalars(select(Suppression.key)).all() == [f"#{HASH}"]


def test_who_came_back_and_is_erased_again_keeps_the_books_apart(sessions: Sessions) -> None:
    """The same broadcast had them twice: its unique key holds."""
    person, broadcast_id = with_traces(sessions)
    (row, other) = rows(sessions)
    erase(sessions, person)
    with sessions.writing() as session:
        again = subscriptions.ensure_subscriber(session, Address.parse(ADA))
        held = session.get_one(Delivery, other.id)
        held.address, held.address_key, held.subscriber_id = ADA, ADA_KEY, again.id
    erase(sessions, again.id)
    assert [found.address_key for found in rows(sessions)] == [HASH, f"{HASH}:{other.id}"]
    assert row.broadcast_id == broadcast_id


def test_without_a_key_nobody_is_erased(sessions: Sessions, keys: TokenKeys) -> None:
    with pytest.raises(ConfigurationError, match=r"site\.erasure_key"):
        erasure.erasure_key(factories.runtime(sessions, keys))


def test_a_paused_broadcast_keeps_nobody_either(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, [ADA])
    with sessions.writing() as session:
        control.pause(session, broadcast_id, PauseReason.OPERATOR)
    erase(sessions, one_of(sessions))
    assert states(sessions, broadcast_id) == [S.SKIPPED]
    assert "lovelace" not in dump(sessions)


@pytest.mark.parametrize("sessions", ["sqlite"], indirect=True)
def test_compacted_the_file_itself_holds_nothing_of_them(sessions: Sessions) -> None:
    person, _ = with_traces(sessions)
    erase(sessions, person)
    compaction.compact(sessions)
    raw = raw_bytes(sessions)
    assert [secret for secret in SECRETS if secret.encode() in raw] == []
    assert b"bob@example.org" in raw
