"""One newsletter's reader as a message would see them."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.mail.address import Address, AddressError
from subscribers.elsewhere import is_elsewhere
from subscribers.models import Subscriber, SubscriberList, Subscription
from subscribers.recipient import Recipient


def reader_of(
    session: Session, newsletter_id: int, address: str, *, sees_all: bool = False
) -> Recipient | None:
    """The person with this address, if they were ever on a list of the newsletter's; else None.

    Of somebody whom another newsletter knows too only the address, except for who `sees_all`.
    """
    try:
        key = Address.parse(address, place="address").key
    except AddressError:
        return None
    found = session.scalar(
        select(Subscriber)
        .join(Subscription, Subscription.subscriber_id == Subscriber.id)
        .join(SubscriberList, SubscriberList.id == Subscription.list_id)
        .where(Subscriber.address_key == key, SubscriberList.newsletter_id == newsletter_id)
        .limit(1)
    )
    if found is None:
        return None
    hides = not sees_all and is_elsewhere(session, found.id, newsletter_id)
    return Recipient(
        subscriber_id=found.id,
        address=found.email,
        address_key=found.address_key,
        name="" if hides else found.name,
        locale="" if hides else found.locale,
        attributes={} if hides else found.attributes,
    )
