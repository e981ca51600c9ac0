"""The pages of a furnished installation for readers, as their links lead there."""

from datetime import timedelta

from sqlalchemy import select

from newsletter.broadcasts.models import Delivery, DeliveryState
from newsletter.core.clock import now
from newsletter.rendering.mail_tokens import (
    ConfirmToken,
    Door,
    LeaveToken,
    OwnerToken,
    PreferencesToken,
)
from subscribers.models import Subscription, SubscriptionStatus
from tests.furnished import issues
from tests.furnished.house import House


def public_pages(house: House) -> dict[str, str]:
    """By name: sign up, confirm, preferences, leave, archive."""
    keys, ours = house.runtime.keys, house.things["newsletter_id"][0]
    assert isinstance(ours, int)
    with house.runtime.sessions.reading() as session:
        delivery = session.scalars(
            select(Delivery).where(Delivery.state == DeliveryState.ACCEPTED).limit(1)
        ).one()
        asked = session.scalars(
            select(Subscription).where(Subscription.status == SubscriptionStatus.PENDING).limit(1)
        ).one()
    until = int((now() + timedelta(days=1)).timestamp())
    person = delivery.subscriber_id
    left = LeaveToken(Door.BODY, ours, person, delivery.broadcast_id, delivery.id)
    confirm = ConfirmToken(asked.subscriber_id, asked.list_id, until)
    day, _ = issues.weekly(4)
    return {
        "public-sign-up": "/s/readers",
        "public-confirm": f"/confirm/{confirm.mint(keys)}",
        "public-preferences": f"/p/{PreferencesToken(ours, person).mint(keys)}",
        "public-owner": f"/p/{OwnerToken(ours, person, until).mint(keys)}",
        "public-leave": f"/u/{left.mint(keys)}",
        "public-archive": "/archive/field-notes",
        "public-archive-issue": f"/archive/field-notes/{day}",
    }
