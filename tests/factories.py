"""Small made things for tests: issues, lists, people, broadcasts, a running system."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from newsletter.broadcasts import freezing, planning
from newsletter.broadcasts.models import Broadcast, BroadcastState, Delivery
from newsletter.core.clock import now
from newsletter.core.config import FixedSettings, Settings
from newsletter.core.db import Sessions
from newsletter.core.runtime import Runtime
from newsletter.core.sections import SenderSettings, TrackingMode
from newsletter.core.tokens import TokenKeys
from newsletter.issues import editing
from newsletter.issues.models import Issue
from newsletter.issues.parsing import parse
from newsletter.issues.source import IssueSource
from newsletter.mail.address import Address
from newsletter.rendering.compiled import CompiledEmail, Frozen, SenderIdentity
from newsletter.rendering.compiler import Compilation, compile_issue
from newsletter.rendering.mail_tokens import ConfirmToken
from newsletter.rendering.templates import TemplateFolders
from newsletter.sending.dispatch import Dispatch
from newsletter.sending.memory import MemoryTransport
from newsletter.sending.transport import Transport
from subscribers import lists, subscriptions
from subscribers.evidence import Evidence
from subscribers.filters.tree import Filter
from subscribers.models import Subscriber, SubscriberList, Subscription, TrackingConsent
from subscribers.recipient import Recipient

EXAMPLES = Path(__file__).parents[1] / "examples"
DAY = date(2026, 6, 17)
EVIDENCE = Evidence("command", wording="They asked for it.")

MARKDOWN = """\
---
newsletter: field-notes
title: Field Notes
date: 2026-06-17
subject: "Measured twice"
preheader: What the ledger knows
---
## The Big Idea
A ledger survives a crash, {{ subscriber.name | default("reader") }}.

## Deep Reads
### [One](https://example.org/one)
First summary with [a link](https://example.org/inside).

### [Two](https://example.org/two)
Second summary.
"""


def source(text: str = MARKDOWN, place: str = "issue.md") -> IssueSource:
    return parse(text, place)


def identity(**changes: Any) -> SenderIdentity:
    known: dict[str, Any] = {
        "newsletter_id": 1,
        "newsletter_slug": "field-notes",
        "newsletter_name": "Field Notes",
        "sender_name": "Field Notes",
        "sender_address": "editor@example.org",
        "postal_address": "1 Example Street, Springfield",
        "list_id": "field-notes.example.org",
        "base_url": "https://news.example.org",
        "archive_url": "https://news.example.org/archive/field-notes/2026-06-17",
    }
    return SenderIdentity(**{**known, **changes})


def compiled(text: str = MARKDOWN) -> Compilation:
    return compile_issue(source(text), identity(), TemplateFolders.of(None))


def frozen(email: CompiledEmail, **changes: Any) -> Frozen:
    return Frozen(7, datetime(2026, 6, 17, 6, tzinfo=UTC), email, identity(**changes))


def recipient(address: str = "ada@example.org", name: str = "Ada", **attributes: Any) -> Recipient:
    parsed = Address.parse(address)
    return Recipient(3, parsed.typed, parsed.key, name=name, attributes=attributes)


def settings(**sections: Any) -> Settings:
    """Not from file or environment; a sender is set, so that issues can be sent."""
    sender = SenderSettings(address="editor@example.org", postal_address="1 Example Street")
    return FixedSettings().model_copy(update={"sender": sender, **sections})


def runtime(sessions: Sessions, keys: TokenKeys, **sections: Any) -> Runtime:
    return Runtime(settings(**sections), sessions, keys)


def stored_issue(session: Session, text: str = MARKDOWN) -> Issue:
    stored = editing.store(
        session, source(text), text, is_sent=lambda _: False, settings=settings()
    )
    return stored.issue


def a_list(session: Session, name: str = "Mornings", issue: Issue | None = None) -> SubscriberList:
    return lists.create_list(session, name, issue.newsletter_id if issue else None)


def person(session: Session, address: str, name: str = "") -> Subscriber:
    return subscriptions.ensure_subscriber(session, Address.parse(address), name)


def subscribed(
    session: Session,
    to: SubscriberList,
    addresses: Iterable[str],
    consent: TrackingConsent = TrackingConsent.UNKNOWN,
) -> list[Subscription]:
    made = []
    for address in addresses:
        subscription = subscriptions.subscribe(session, person(session, address), to, EVIDENCE)
        subscriptions.set_tracking_consent(session, subscription, consent, EVIDENCE)
        made.append(subscription)
    return made


def confirm_token(keys: TokenKeys, subscription: Subscription) -> str:
    """The last part of a confirmation mail's link, fresh."""
    until = int((now() + timedelta(days=7)).timestamp())
    return ConfirmToken(subscription.subscriber_id, subscription.list_id, until).mint(keys)


def scheduled(
    session: Session,
    issue: Issue,
    to: list[SubscriberList],
    *,
    force: bool = False,
    start_at: datetime | None = None,
    plan: planning.Plan | None = None,
    segment: Filter | None = None,
) -> Broadcast:
    plan = plan or planning.prepare(issue, settings(), today=DAY)
    hours = timedelta(hours=24)
    start = start_at or now()
    return planning.schedule(
        session, plan, to, start_at=start, stale_after=hours, segment=segment, force=force
    )


def sending(
    sessions: Sessions, addresses: Iterable[str], text: str = MARKDOWN, name: str = "Mornings"
) -> int:
    """A broadcast to these addresses, frozen and on its way; its id."""
    with sessions.writing() as session:
        issue = stored_issue(session, text)
        readers = a_list(session, name, issue)
        subscribed(session, readers, addresses)
        broadcast = scheduled(session, issue, [readers])
        broadcast.state = BroadcastState.FREEZING
    freezing.freeze(sessions, broadcast.id, TrackingMode.AGGREGATE)
    return broadcast.id


def deliveries(sessions: Sessions, broadcast_id: int) -> Mapping[str, Delivery]:
    """By address."""
    with sessions.reading() as session:
        rows = session.query(Delivery).filter_by(broadcast_id=broadcast_id).order_by(Delivery.id)
        return {row.address: row for row in rows}


def deliver(runtime: Runtime, relay: Transport, broadcast_id: int, *, connections: int = 1) -> bool:
    """One slice by a send loop of its own; True when more is due."""
    delivery = runtime.settings.delivery.model_copy(update={"connections": connections})
    settings = runtime.settings.model_copy(update={"delivery": delivery})
    with Dispatch(Runtime(settings, runtime.sessions, runtime.keys), [relay]) as dispatch:
        return dispatch.deliver(broadcast_id)


def memory(**scripts: Any) -> MemoryTransport:
    """A relay in memory; `memory(ada=[step, …])` is about ada@example.org."""
    relay = MemoryTransport()
    for local_part, steps in scripts.items():
        relay.script(f"{local_part}@example.org", *steps)
    return relay
