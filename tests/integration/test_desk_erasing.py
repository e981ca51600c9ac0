"""Erasing one person at the desk: what goes, who may, what is asked first."""

from sqlalchemy import select

from newsletter.accounts.permissions import Role
from newsletter.broadcasts.models import Broadcast, BroadcastState, Delivery, DeliveryState
from newsletter.core.runtime import Runtime
from subscribers import segments, suppressions
from subscribers.models import (
    Subscriber,
    SubscriberList,
)
from tests.desk import ERASURE_KEY, Seat, log_in
from tests.two_newsletters import ADA, BOB, CYD, SECRET, Two, mailed, page_of


def test_erasing_names_what_goes_and_asks_for_the_address(ours: Seat, two: Two) -> None:
    with two.sessions.writing() as session:
        session.get_one(Subscriber, two.people[ADA]).name = "Ada King"
        for on, name in ((two.mornings, "By name"), (two.rivals, SECRET)):
            to = session.get_one(SubscriberList, on)
            segments.save(session, to, name, 'name contains "king" or email contains "ada@ex"')
    broadcast = mailed(two, two.ours, ADA, "Measured twice")
    words = ours.read(f"{page_of(two, ADA)}/erase")
    assert SECRET not in words
    for term in ('name contains "king"', 'email contains "ada@ex"'):
        assert f"By name : {term}" in words
    for said in ("cannot be undone", "2 subscriptions", "1 mail;", "2 opens", f"Type {ADA}"):
        assert said in words
    wrong = ours.post(f"{page_of(two, ADA)}/erase", {"confirmation": BOB})
    assert (wrong.status_code, "as it stands above" in wrong.text) == (422, True)
    assert ADA in two.person(ADA).email
    words = ours.done(f"{page_of(two, ADA)}/erase", {"confirmation": f" {ADA.upper()} "})
    assert "Erased." in words
    assert ours.get(page_of(two, ADA)).status_code == 404
    assert ours.get(f"{page_of(two, ADA)}/erase").status_code == 404
    for deed in ("take-off", "put-back", "export", "erase"):
        assert ours.post(f"{page_of(two, ADA)}/{deed}", {"list": two.mornings}).status_code == 404
    with two.sessions.reading() as session:
        left = session.scalars(select(Delivery).where(Delivery.broadcast_id == broadcast)).one()
        assert (left.address, left.state) == ("", DeliveryState.ACCEPTED)
        hashed = suppressions.erased_suppression(ERASURE_KEY, ADA)
        assert suppressions.find(session, hashed)
    [noted] = two.audit("subscriber.erased")
    assert noted.actor.endswith(ours.email)


def test_who_is_on_other_lists_too_is_erased_by_who_runs_the_installation(
    seat: Seat, ours: Seat, two: Two
) -> None:
    page = ours.read(f"{page_of(two, CYD)}/erase")
    assert "Only somebody who administers all newsletters" in page
    assert "subscription" not in page
    assert ours.post(f"{page_of(two, CYD)}/erase", {"confirmation": CYD}).status_code == 422
    assert two.person(CYD)
    seat.done(f"{page_of(two, CYD)}/erase", {"confirmation": CYD})
    assert seat.get(page_of(two, CYD)).status_code == 404


def test_without_a_key_nobody_is_erased_and_the_page_says_what_to_do(seat: Seat, two: Two) -> None:
    keyless = Runtime(seat.runtime.settings, seat.runtime.sessions, seat.runtime.keys, None)
    with log_in(keyless, Role.ADMIN) as without:
        assert "NEWSLETTER_SITE__ERASURE_KEY" in without.read(f"{page_of(two, ADA)}/erase")
        answer = without.post(f"{page_of(two, ADA)}/erase", {"confirmation": ADA})
    assert answer.status_code == 422
    assert two.person(ADA)


def test_a_broadcast_that_has_just_come_to_them_asks_for_a_minute(seat: Seat, two: Two) -> None:
    broadcast_id = mailed(two, two.ours, BOB, "Measured twice")
    with two.sessions.writing() as session:
        broadcast = session.get_one(Broadcast, broadcast_id)
        broadcast.state, broadcast.frozen_upto = BroadcastState.FREEZING, ADA
    answer = seat.post(f"{page_of(two, ADA)}/erase", {"confirmation": ADA})
    assert (answer.status_code, "try again in a minute" in answer.text) == (422, True)
    assert two.person(ADA)
