"""Plan a broadcast: check the issue, freeze its content, name its lists and its time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import Session

from newsletter.broadcasts.models import (
    Broadcast,
    BroadcastList,
    BroadcastState,
    BroadcastTotals,
    Content,
    Delivery,
    DeliveryState,
)
from newsletter.core.config import Settings
from newsletter.core.doorbell import ring_after_commit
from newsletter.core.errors import ConfigurationError, NewsletterError, RefusedError
from newsletter.core.sections import OnInDoubt
from newsletter.issues.models import Issue, Newsletter
from newsletter.issues.parsing import parse
from newsletter.mail.address import Address
from newsletter.rendering.compiled import CompiledEmail, Frozen, SenderIdentity
from newsletter.rendering.compiler import Compilation, compile_issue
from newsletter.rendering.findings import Finding, Severity
from newsletter.rendering.palette import Look, Palette
from newsletter.rendering.templates import TemplateFolders
from subscribers import segments
from subscribers.models import SubscriberList
from subscribers.segment_tree import Filter
from subscribers.segment_writing import written


class PreflightError(NewsletterError):
    """The issue has errors and is not sent.

    Attributes:
        findings: what was found, warnings included.
    """

    def __init__(self, place: str, findings: Sequence[Finding]) -> None:
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        said = "; ".join(f"{finding.code}: {finding.text}" for finding in errors)
        super().__init__(f"{place} is not ready to send: {said}")
        self.findings = tuple(findings)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be sent: the issue compiled under its newsletter's identity."""

    issue: Issue
    compilation: Compilation
    identity: SenderIdentity

    @property
    def email(self) -> CompiledEmail:
        return self.compilation.email


def prepare(issue: Issue, settings: Settings, *, today: date) -> Plan:
    """Compile a stored issue and check it.

    Raises:
        PreflightError: a finding of severity error.
        ConfigurationError: no sender address is known.
    """
    identity = sender_identity(issue.newsletter, issue.date, settings)
    compilation = compile_issue(
        parse(issue.source, issue.source_name or f"issue {issue.id}"),
        identity,
        TemplateFolders.of(settings.templates.dir),
        today=today,
    )
    if any(finding.severity is Severity.ERROR for finding in compilation.findings):
        raise PreflightError(issue.source_name or f"issue {issue.id}", compilation.findings)
    return Plan(issue, compilation, identity)


def sender_identity(newsletter: Newsletter, day: date, settings: Settings) -> SenderIdentity:
    """The newsletter's identity; what it leaves empty comes from the configured default sender."""
    address = newsletter.sender_address or settings.sender.address
    if not address:
        raise ConfigurationError(
            f"newsletter {newsletter.slug!r} has no sender address: set `address` under [sender] "
            "in newsletter.toml, or NEWSLETTER_SENDER__ADDRESS"
        )
    sender = Address.parse(address, place="sender.address")
    base_url = settings.site.public_url
    newsletter.list_id = newsletter.list_id or f"{newsletter.slug}.{sender.domain}"
    return SenderIdentity(
        newsletter_id=newsletter.id,
        newsletter_slug=newsletter.slug,
        newsletter_name=newsletter.name,
        sender_name=newsletter.sender_name or settings.sender.name or newsletter.name,
        sender_address=sender.typed,
        postal_address=newsletter.postal_address or settings.sender.postal_address,
        list_id=newsletter.list_id,
        base_url=base_url,
        archive_url=f"{base_url}/archive/{newsletter.slug}/{day.isoformat()}",
        reply_to=newsletter.reply_to,
        tracking_mode=newsletter.tracking_mode,
        leave_mailbox=settings.bounces.around_a_token,
        look=Look(newsletter.template, Palette.of(newsletter.palette)),
    )


def schedule(  # noqa: PLR0913 - named one by one
    session: Session,
    plan: Plan,
    lists: Sequence[SubscriberList],
    *,
    start_at: datetime,
    stale_after: timedelta,
    on_in_doubt: OnInDoubt = OnInDoubt.HOLD,
    segment: Filter | None = None,
    force: bool = False,
) -> Broadcast:
    """Create the broadcast with its content frozen; it starts by itself at `start_at`.

    Of the lists' people only those inside `segment` get it, as they are when it starts.

    Raises:
        NotFoundError: the segment names a list that is not there.
        RefusedError: no list, a list of another newsletter, or (unless `force`) a list that this
            issue was already sent to or is being sent to.
    """
    _lists_fit(plan.issue, lists)
    if segment is not None:
        segments.condition(session, segment, plan.issue.newsletter_id)
    if not force:
        _not_sent_before(session, plan.issue, lists)
    broadcast = Broadcast(
        issue_id=plan.issue.id,
        state=BroadcastState.SCHEDULED,
        start_at=start_at,
        not_after=start_at + stale_after,
        on_in_doubt=on_in_doubt,
        segment=written(segment) if segment is not None else "",
    )
    session.add(broadcast)
    session.flush()
    session.add_all(
        BroadcastList(broadcast_id=broadcast.id, list_id=chosen.id, position=position)
        for position, chosen in enumerate(lists)
    )
    session.add(
        Content(
            broadcast_id=broadcast.id,
            content_hash=plan.email.content_hash(),
            compiled=plan.email.to_json(),
            identity=plan.identity.to_json(),
        )
    )
    session.flush()
    ring_after_commit(session, broadcast.id)
    return broadcast


def frozen_content(session: Session, broadcast_id: int) -> Frozen:
    """What a broadcast sends, as it was frozen."""
    broadcast = session.get_one(Broadcast, broadcast_id)
    content = session.get_one(Content, broadcast_id)
    return Frozen(
        broadcast_id=broadcast_id,
        date=broadcast.start_at,
        email=CompiledEmail.from_json(content.compiled),
        identity=SenderIdentity.from_json(content.identity),
    )


def was_sent(session: Session, issue: Issue) -> bool:
    """Somebody has the issue or is about to get it: its text may not change any more."""
    sent = select(Broadcast.id).where(Broadcast.issue_id == issue.id, _counts_as_sent())
    return session.scalar(sent.limit(1)) is not None


def reached_somebody() -> ColumnElement[bool]:
    """Of a Broadcast: at least one mail of it is, or may be, out."""
    reached = exists().where(
        Delivery.broadcast_id == Broadcast.id,
        Delivery.state.in_([DeliveryState.SENDING, DeliveryState.ACCEPTED, DeliveryState.IN_DOUBT]),
    )
    had_reached = exists().where(
        BroadcastTotals.broadcast_id == Broadcast.id, BroadcastTotals.reached > 0
    )
    return or_(reached, had_reached)


def _counts_as_sent() -> ColumnElement[bool]:
    """Not cancelled, or cancelled too late for some."""
    return or_(Broadcast.state != BroadcastState.CANCELLED, reached_somebody())


def _lists_fit(issue: Issue, lists: Sequence[SubscriberList]) -> None:
    if not lists:
        raise RefusedError("no list to send to: name one with --list")
    for chosen in lists:
        if chosen.newsletter_id != issue.newsletter_id:
            raise RefusedError(
                f"list {chosen.slug!r} does not belong to newsletter {issue.newsletter.slug!r}"
            )


def _not_sent_before(session: Session, issue: Issue, lists: Sequence[SubscriberList]) -> None:
    """Two clicks on send at once: the issue's row is the lock that lets one of them win."""
    session.get_one(Issue, issue.id, with_for_update=True)
    earlier = session.execute(
        select(Broadcast.id, SubscriberList.slug)
        .join(BroadcastList, BroadcastList.broadcast_id == Broadcast.id)
        .join(SubscriberList, SubscriberList.id == BroadcastList.list_id)
        .where(
            Broadcast.issue_id == issue.id,
            _counts_as_sent(),
            BroadcastList.list_id.in_([chosen.id for chosen in lists]),
        )
    ).first()
    if earlier is not None:
        raise RefusedError(
            f"issue {issue.date.isoformat()} was already sent to list {earlier.slug!r} "
            f"(broadcast {earlier.id}); --force sends it again to everybody on it"
        )
