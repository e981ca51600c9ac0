"""Erase one person: nothing names them any more, what was counted is still counted.

Decision page 0018 has what stays, and why.
"""

import re
from collections.abc import Iterable, Sequence

from sqlalchemy import (
    ColumnElement,
    String,
    case,
    cast,
    delete,
    exists,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from newsletter.accounts import audit
from newsletter.broadcasts import ledger
from newsletter.broadcasts.models import (
    NOT_BEGUN,
    Broadcast,
    BroadcastState,
    Delivery,
    DeliveryLog,
)
from newsletter.core.erasure_key import ErasureKey
from newsletter.core.errors import ConfigurationError, NotFoundError, RefusedError
from newsletter.core.runtime import Runtime
from newsletter.core.sentences import say
from newsletter.core.tables import position
from newsletter.mail.address import Address
from newsletter.privacy.traces import delivery_ids, to_them
from newsletter.sending.models import RelayState, SystemMail
from newsletter.tracking import evidence, recording
from newsletter.tracking.models import Event
from subscribers import suppressions
from subscribers.erased import mark_key
from subscribers.imports import bulk
from subscribers.imports.runs import lines, waiting_files
from subscribers.imports.runs.waiting_files import NOTHING, Searched
from subscribers.models import (
    EVERYWHERE,
    Segment,
    Subscriber,
    Subscription,
    Suppression,
    SuppressionReason,
)

_CHUNK_ROWS = 500
_NOBODY = "erased@invalid"


def erasure_key(runtime: Runtime) -> ErasureKey:
    """The key that hashes whom we forget.

    Raises:
        ConfigurationError: there is none.
    """
    if runtime.erasure_key is None:
        raise ConfigurationError(
            say(
                "site.erasure_key is not set: with PostgreSQL it has to be given before anybody is "
                "erased; put the output of `openssl rand -hex 32` into "
                "NEWSLETTER_SITE__ERASURE_KEY, never change it, and keep it with the backups"
            )
        )
    return runtime.erasure_key


def erase(
    session: Session,
    subscriber_id: int,
    key: ErasureKey,
    actor: str,
    searched: Searched = NOTHING,
) -> None:
    """Erase a subscriber in the caller's transaction.

    `searched` is what `waiting_files.search` found shortly before; files that it has not seen are
    read in the transaction.

    Raises:
        NotFoundError: nobody has this id.
        RefusedError: a broadcast that is being frozen has just come to this person: a minute later
            it is past them; or others were erased under another key.
    """
    # Before any lock of ours: an import that has asked who was erased stores them, then we come.
    bulk.take_turns(session)
    # Not the key: whoever leaves has their subscriptions, and writes evidence that refers to it.
    person = session.get(Subscriber, subscriber_id, with_for_update={"key_share": True})
    if person is None:
        raise NotFoundError("subscriber", subscriber_id)
    address = Address.stored(person.email, person.address_key)
    session.expunge(person)
    # As whoever leaves takes them: they have left before us, or find nothing to leave.
    lists = session.scalars(
        select(Subscription.list_id)
        .where(Subscription.subscriber_id == subscriber_id)
        .order_by(Subscription.list_id)
        .with_for_update()
    ).all()
    _erase(session, address, subscriber_id, key, actor, searched, lists=list(lists))


def erase_address(
    session: Session,
    address: Address,
    key: ErasureKey,
    actor: str,
    searched: Searched = NOTHING,
) -> None:
    """As `erase`, for an address of nobody who is subscribed: of old mails, of suppressions."""
    bulk.take_turns(session)
    _erase(session, address, None, key, actor, searched)


def _erase(
    session: Session,
    address: Address,
    subscriber_id: int | None,
    key: ErasureKey,
    actor: str,
    searched: Searched,
    **facts: object,
) -> None:
    """Broadcasts before their deliveries, as everybody takes them: nobody waits in a circle."""
    mark_key(session, key)
    hashed = key.hashed(address.key)
    _tell_freezers(session, address)
    _forget_in_filters(session, address)
    deliveries = session.scalars(delivery_ids(address.key)).all()
    recording.wait_for_turn(session, deliveries)
    for chunk in _chunks(deliveries):
        _empty_deliveries(session, chunk, hashed)
    session.execute(delete(SystemMail).where(to_them(address)))
    _forget_words(session, address)
    lines.forget(session, address)
    if dropped := waiting_files.drop(session, address, searched):
        facts["imports_ended"] = dropped
    _hash_suppressions(session, address, key)
    if subscriber_id is not None:
        # Subscriptions, consent evidence and engagement go with it.
        session.execute(
            delete(Subscriber)
            .where(Subscriber.id == subscriber_id)
            .execution_options(synchronize_session=False)
        )
    counted = len(deliveries)
    audit.record(session, actor, "subscriber.erased", subscriber_id, deliveries=counted, **facts)
    session.flush()


def _tell_freezers(session: Session, address: Address) -> None:
    """Who freezes has read the people already: it reads them again, without this one."""
    freezing = session.scalars(
        select(Broadcast)
        .where(Broadcast.frozen_at.is_(None), Broadcast.state.not_in(NOT_BEGUN))
        .order_by(Broadcast.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    for broadcast in freezing.all():
        if broadcast.state is BroadcastState.CANCELLED:
            continue
        if broadcast.frozen_upto == address.key:
            raise RefusedError(
                say(
                    "broadcast %(id)s is being frozen and has just come to this person; "
                    "try again in a minute",
                    id=broadcast.id,
                )
            )
        broadcast.erasures += 1
    session.flush()
    session.execute(
        update(Broadcast)
        .where(Broadcast.frozen_upto == address.key)
        .values(frozen_upto="")
        .execution_options(synchronize_session=False)
    )


def _forget_in_filters(session: Session, address: Address) -> None:
    """Where a filter names the address; of a part of it, or of a name, nobody knows whose it is."""
    named = _named_in_filters(address)
    for column, key in ((Broadcast.segment, Broadcast.id), (Segment.text, Segment.id)):
        found = session.execute(select(key, column).where(column.contains("@")).order_by(key)).all()
        for number, text in found:
            without = named.sub(_NOBODY, text)
            if without != text:
                session.execute(
                    update(column.class_)
                    .where(key == number)
                    .values({column.key: without})
                    .execution_options(synchronize_session=False)
                )


def _named_in_filters(address: Address) -> re.Pattern[str]:
    """The whole address, however it is spelled, within a quoted text; none that it is a part of."""
    spellings = {address.key, address.typed}
    quoted = [one.replace("\\", "\\\\").replace('"', '\\"') for one in spellings]
    either = "|".join(re.escape(one) for one in quoted)
    return re.compile(rf"(?<![\w.!#$%&'*+/=?^`{{|}}~-])(?:{either})(?![\w-]|\.\w)", re.IGNORECASE)


def _empty_deliveries(session: Session, ids: Sequence[int], hashed: str) -> None:
    """What waits is skipped; what a worker holds ends by its token, unmailable or sent."""
    ledger.withdraw(session, Delivery.id.in_(ids))
    events = session.scalars(select(Event.id).where(Event.delivery_id.in_(ids))).all()
    for chunk in _chunks(events):
        evidence.empty(session, chunk)
    session.execute(
        update(Delivery)
        .where(Delivery.id.in_(ids))
        .values(
            address="",
            address_key=_free_key(hashed),
            domain_key="",
            reply_text="",
        )
        .execution_options(synchronize_session=False)
    )
    session.execute(
        update(DeliveryLog)
        .where(DeliveryLog.delivery_id.in_(ids), DeliveryLog.reason.contains(": "))
        .values(reason=_without_words(DeliveryLog.reason))
        .execution_options(synchronize_session=False)
    )


def _free_key(hashed: str) -> ColumnElement[str]:
    """The hash; with the row's number where the broadcast had them before they were erased once."""
    other = aliased(Delivery)
    taken = exists().where(other.broadcast_id == Delivery.broadcast_id, other.address_key == hashed)
    return case((taken, literal(f"{hashed}:").concat(cast(Delivery.id, String))), else_=hashed)


def _without_words(reason: InstrumentedAttribute[str]) -> ColumnElement[str]:
    """What the relay said in words, behind the first colon, goes; the class stays."""
    return func.substr(reason, 1, position(reason, ": ") - 1)


def _forget_words(session: Session, address: Address) -> None:
    """Where a pause or a breaker quotes somebody's reply."""
    for column in (
        Broadcast.pause_detail,
        RelayState.pause_reason,
        RelayState.breaker_reason,
    ):
        session.execute(
            update(column.class_)
            .where(func.lower(column).contains(address.key, autoescape=True))
            .values({column.key: "(erased)"})
            .execution_options(synchronize_session=False)
        )


def _hash_suppressions(session: Session, address: Address, key: ErasureKey) -> None:
    """Never to be imported again; whatever kept mail from the address is covered by the hash."""
    session.execute(delete(Suppression).where(Suppression.key == address.key))
    suppressions.suppress(
        session,
        suppressions.erased_suppression(key, address.key),
        reason=SuppressionReason.ERASED,
        source="erasure",
        list_id=EVERYWHERE,
    )


def _chunks(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (ids[start : start + _CHUNK_ROWS] for start in range(0, len(ids), _CHUNK_ROWS))
