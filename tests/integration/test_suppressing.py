"""Which failures end the mail to an address for good: certainty at once, a disabled box twice."""

from sqlalchemy import update

from newsletter.broadcasts import claims, ledger, offers
from newsletter.broadcasts.history import times_failed_with
from newsletter.broadcasts.models import Delivery, DeliveryState
from newsletter.broadcasts.offers import Conclusion, Intent
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.mail.replies import Reply, parse_reply
from newsletter.sending.outcomes import outcome_of
from newsletter.sending.suppressing import suppress_the_gone
from subscribers import suppressions
from subscribers.models import SuppressionReason
from tests import factories

ADA = "ada@example.org"
DISABLED = parse_reply(550, "5.2.1 The email account that you tried to reach is disabled.")


def fail(sessions: Sessions, broadcast_id: int, reply: Reply) -> bool:
    """Offer ada the mail once more; whether the reply suppressed her address."""
    with sessions.writing() as session:
        ledger.retry_failed(session, broadcast_id)
        claim = claims.claim(session.connection(), broadcast_id, limit=1, lease_seconds=60)
        (row,) = claim.rows
        intent = Intent(row.delivery_id, claim.token, "main")
        assert offers.announce(session, [intent], lease_seconds=60)
        outcome = outcome_of(row.delivery_id, reply, row.attempt + 1, [1])
        assert offers.conclude(
            session, [Conclusion(claim.token, outcome, row.recipient.address_key)]
        )
        return suppress_the_gone(session, outcome, row.recipient.address_key)


def sending(sessions: Sessions, number: int, address: str = ADA) -> int:
    text = factories.MARKDOWN.replace("field-notes", f"notes-{number}")
    return factories.sending(sessions, [address], text, f"list {number}")


def test_who_is_gone_for_certain_is_suppressed_at_once(sessions: Sessions) -> None:
    broadcast_id = sending(sessions, 1)
    assert fail(sessions, broadcast_id, parse_reply(550, "5.1.1 User unknown"))
    with sessions.reading() as session:
        (kept,) = suppressions.each_suppression(session)
    assert (kept.key, kept.source.split()[0]) == (ADA, "delivery")


def test_a_disabled_mailbox_is_suppressed_by_the_second_broadcast(sessions: Sessions) -> None:
    assert not fail(sessions, sending(sessions, 1), DISABLED)
    assert not fail(sessions, sending(sessions, 2, "bob@example.org"), DISABLED)
    assert fail(sessions, sending(sessions, 3), DISABLED)
    with sessions.reading() as session:
        assert suppressions.is_suppressed(session, ADA)
        assert not suppressions.is_suppressed(session, "bob@example.org")


def test_a_disabled_mailbox_is_suppressed_by_the_second_attempt(sessions: Sessions) -> None:
    broadcast_id = sending(sessions, 1)
    assert not fail(sessions, broadcast_id, DISABLED)
    assert fail(sessions, broadcast_id, DISABLED)


def test_other_failures_do_not_count_as_disabled(sessions: Sessions) -> None:
    broadcast_id = sending(sessions, 1)
    for said in ("5.7.1 policy", "5.2.10 something else", "5.7.1 see 5.2.1"):
        assert not fail(sessions, broadcast_id, parse_reply(550, said))
    assert not fail(sessions, broadcast_id, DISABLED)
    with sessions.reading() as session:
        assert times_failed_with(session, ADA, "5.2.1") == 1


def test_what_is_tried_again_suppresses_nobody(sessions: Sessions) -> None:
    began = now()
    broadcast_id = sending(sessions, 1)
    assert not fail(sessions, broadcast_id, parse_reply(450, "4.2.1 mailbox busy"))
    row = factories.deliveries(sessions, broadcast_id)[ADA]
    assert row.due_at > began


def test_who_is_suppressed_stays_failed_and_the_others_are_tried_again(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, [ADA, "bob@example.org"])
    with sessions.writing() as session:
        session.execute(update(Delivery).values(state=DeliveryState.FAILED, reason="gone"))
        suppressions.suppress(session, ADA, reason=SuppressionReason.GONE, source="delivery")
        assert ledger.retryable(session, broadcast_id) == 1
        assert ledger.retry_failed(session, broadcast_id) == 1
    states = {key: row.state for key, row in factories.deliveries(sessions, broadcast_id).items()}
    assert states == {ADA: DeliveryState.FAILED, "bob@example.org": DeliveryState.PENDING}
