"""Reports: derived from rows, by who was behind a hit."""

from datetime import timedelta

from sqlalchemy import update

from newsletter.broadcasts import control
from newsletter.broadcasts.models import Delivery, DeliveryState
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.rendering.mail_tokens import Door, LeaveToken, TrackingToken
from newsletter.reports import figures
from newsletter.tracking import leaving
from newsletter.tracking.classification import Reader
from newsletter.tracking.models import EventKind
from newsletter.tracking.recording import Fetch, Visit, record
from tests import factories

BROWSER = Visit(user_agent="Mozilla/5.0 (X11) Firefox/140.0")
SCANNER = Visit(user_agent="Barracuda")


def test_figures_are_counted_by_reader_and_link(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, [f"r{n}@example.org" for n in range(3)])
    one, two, _ = factories.deliveries(sessions, broadcast_id).values()
    with sessions.writing() as session:
        an_hour_ago = now() - timedelta(hours=1)
        session.execute(update(Delivery).values(state=DeliveryState.ACCEPTED, last_at=an_hour_ago))
        one_s, two_s = (TrackingToken(broadcast_id, row.id) for row in (one, two))
        strange = [TrackingToken(broadcast_id + 1, one.id), TrackingToken(broadcast_id, 10**9)]
        opened = [one_s, one_s, TrackingToken(broadcast_id, None), *strange]
        record(session, [Fetch(EventKind.OPEN, token, BROWSER) for token in opened])
        record(session, [Fetch(EventKind.CLICK, one_s, BROWSER, link=1)])
        record(session, [Fetch(EventKind.CLICK, two_s, SCANNER, link=1)])
    with sessions.reading() as session:
        report = figures.report(session, control.find_broadcast(session, broadcast_id))
    assert report.opens.hits == {Reader.HUMAN: 3}
    assert report.opens.readers == {Reader.HUMAN: 1}
    assert report.clicks.hits == {Reader.HUMAN: 1, Reader.MACHINE: 1}
    first, *others = report.links
    assert (first.link.url, first.clicks) == (
        "https://example.org/one",
        {Reader.HUMAN: 1, Reader.MACHINE: 1},
    )
    assert all(not line.clicks for line in others)
    assert report.accounts.accepted == 3


def test_who_left_and_came_back_did_not_leave(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, ["ada@example.org", "bob@example.org"])
    ada, bob = factories.deliveries(sessions, broadcast_id).values()
    with sessions.writing() as session:
        newsletter_id = control.find_broadcast(session, broadcast_id).issue.newsletter_id
        for row in (ada, bob):
            token = LeaveToken(Door.BODY, newsletter_id, row.subscriber_id, broadcast_id, row.id)
            undo = leaving.taking_back(token, leaving.leave(session, token, BROWSER))
        assert undo
        assert leaving.undo(session, undo, BROWSER)
    with sessions.reading() as session:
        report = figures.report(session, control.find_broadcast(session, broadcast_id))
    assert report.unsubscribed == 1
