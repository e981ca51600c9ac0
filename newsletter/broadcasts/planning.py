"""Plan a broadcast: check the issue, freeze its content, name its lists and its time.

Compiling takes a tenth of a second, so it comes before the transaction that writes. That one takes
the rows of issue and newsletter and makes sure that they are those which were compiled.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from newsletter.broadcasts.basis import basis_of, locked_issue, refuse_if_changed
from newsletter.broadcasts.models import (
    Broadcast,
    BroadcastList,
    BroadcastState,
    Content,
)
from newsletter.broadcasts.sent_issues import refuse_if_sent
from newsletter.core.clock import now
from newsletter.core.config import Settings
from newsletter.core.db import Sessions
from newsletter.core.doorbell import ring_after_commit
from newsletter.core.errors import ConfigurationError, NewsletterError, RefusedError
from newsletter.core.sections import OnInDoubt
from newsletter.core.sentences import joined, say
from newsletter.issues.models import Issue, Newsletter
from newsletter.issues.revising import read
from newsletter.issues.source import IssueSource
from newsletter.mail.address import Address
from newsletter.rendering.compiled import CompiledEmail, Frozen, SenderIdentity
from newsletter.rendering.compiler import Compilation, compile_issue
from newsletter.rendering.findings import Finding, Severity
from newsletter.rendering.palette import Logo, Look, Palette
from newsletter.rendering.templates import TemplateFolders
from subscribers import segments
from subscribers.filters.tree import Filter
from subscribers.filters.writing import written
from subscribers.models import SubscriberList


class PreflightError(NewsletterError):
    """The issue has errors and is not sent.

    Attributes:
        findings: what was found, warnings included.
    """

    def __init__(self, place: str, findings: Sequence[Finding]) -> None:
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        said = joined(
            "; ",
            (say("%(code)s: %(text)s", code=error.code, text=error.text) for error in errors),
        )
        super().__init__(say("%(place)s is not ready to send: %(said)s", place=place, said=said))
        self.findings = tuple(findings)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be sent: the issue compiled under its newsletter's identity.

    Attributes:
        basis: what of issue and newsletter it was compiled from.
    """

    issue: Issue
    compilation: Compilation
    identity: SenderIdentity
    basis: Mapping[str, Any]

    @property
    def email(self) -> CompiledEmail:
        return self.compilation.email

    def content_hash(self) -> str:
        """SHA-256 in hex of what is sent and whose it is: text, sender, postal address, links."""
        whose = json.dumps(self.identity.to_json(), ensure_ascii=False, sort_keys=True)
        return sha256(f"{self.email.content_hash()} {whose}".encode()).hexdigest()


def prepare(issue: Issue, settings: Settings, *, today: date) -> Plan:
    """Compile a stored issue and check it.

    Raises:
        SourceError: the text cannot be read, or does not belong to this issue.
        PreflightError: a finding of severity error.
        ConfigurationError: no sender address is known.
    """
    identity = sender_identity(issue.newsletter, issue.date, settings)
    compilation = compiled(read(issue), identity, settings, today=today)
    if any(finding.severity is Severity.ERROR for finding in compilation.findings):
        raise PreflightError(issue.source_name or f"issue {issue.id}", compilation.findings)
    return Plan(issue, compilation, identity, basis_of(issue))


def compiled(
    source: IssueSource, identity: SenderIdentity, settings: Settings, *, today: date
) -> Compilation:
    """The mail of a text, and what preflight finds, exactly as it would be sent."""
    return compile_issue(source, identity, TemplateFolders.of(settings.templates.dir), today=today)


def prepare_stored(sessions: Sessions, issue_id: int, settings: Settings, *, today: date) -> Plan:
    """As `prepare`, of the issue as it is now; no transaction is open while it compiles."""
    with sessions.reading() as session:
        issue = session.get_one(Issue, issue_id, options=[joinedload(Issue.newsletter)])
    return prepare(issue, settings, today=today)


def sender_identity(newsletter: Newsletter, day: date, settings: Settings) -> SenderIdentity:
    """The newsletter's identity; what it leaves empty comes from the configured default sender.

    A List-Id is only proposed here: the first broadcast fixes it.
    """
    address = newsletter.sender_address or settings.sender.address
    if not address:
        raise ConfigurationError(
            say(
                "newsletter %(newsletter)r has no sender address: set `address` under [sender] "
                "in newsletter.toml, or NEWSLETTER_SENDER__ADDRESS",
                newsletter=newsletter.slug,
            )
        )
    sender = Address.parse(address, place="sender.address")
    base_url = settings.site.public_url
    return SenderIdentity(
        newsletter_id=newsletter.id,
        newsletter_slug=newsletter.slug,
        newsletter_name=newsletter.name,
        sender_name=newsletter.sender_name or settings.sender.name or newsletter.name,
        sender_address=sender.typed,
        postal_address=newsletter.postal_address or settings.sender.postal_address,
        list_id=newsletter.list_id or f"{newsletter.slug}.{sender.domain}",
        base_url=base_url,
        archive_url=f"{base_url}/archive/{newsletter.slug}/{day.isoformat()}",
        reply_to=newsletter.reply_to,
        tracking_mode=newsletter.tracking_mode,
        leave_mailbox=settings.bounces.around_a_token,
        look=Look(
            newsletter.template,
            Palette.of(newsletter.palette),
            Logo.of(newsletter.logo, base_url),
        ),
    )


def schedule(  # noqa: PLR0913 - named one by one
    session: Session,
    plan: Plan,
    lists: Sequence[SubscriberList],
    *,
    start_at: datetime | None,
    stale_after: timedelta,
    on_in_doubt: OnInDoubt = OnInDoubt.HOLD,
    segment: Filter | None = None,
    force: bool = False,
    asked_by: str = "",
    request_key: str | None = None,
) -> Broadcast:
    """Create the broadcast with its content frozen; it starts by itself at `start_at`.

    Without `start_at` at once, which means after its newsletter's hold. Where the newsletter wants
    approval it waits for that before. Of the lists' people only those inside `segment` get it, as
    they are when it starts. A `request_key` that was used makes no second broadcast: the first
    comes back.

    Raises:
        NotFoundError: the segment names a list that is not there.
        ChangedError: the issue or its newsletter was changed since it was compiled.
        RefusedError: no list, a list of another newsletter, or (unless `force`) a list that this
            issue was already sent to or is being sent to.
    """
    issue = locked_issue(session, plan.issue.id)
    if request_key and (made := _made_by(session, issue, request_key)):
        return made
    refuse_if_changed(issue, plan.basis, plan.identity.list_id)
    _fits(session, issue, lists, segment)
    if not force:
        refuse_if_sent(session, issue, lists)
    broadcast = Broadcast(
        issue_id=issue.id,
        **_beginning(issue.newsletter, start_at, stale_after),
        on_in_doubt=on_in_doubt,
        segment=written(segment) if segment is not None else "",
        asked_by=asked_by,
        request_key=request_key,
    )
    _add(session, broadcast, plan, lists)
    issue.newsletter.list_id = plan.identity.list_id
    session.flush()
    ring_after_commit(session, broadcast.id)
    return broadcast


def _add(
    session: Session, broadcast: Broadcast, plan: Plan, lists: Sequence[SubscriberList]
) -> None:
    session.add(broadcast)
    session.flush()
    session.add_all(
        BroadcastList(broadcast_id=broadcast.id, list_id=chosen.id, position=position)
        for position, chosen in enumerate(lists)
    )
    session.add(Content(broadcast_id=broadcast.id, **frozen_columns(plan)))


def _beginning(
    newsletter: Newsletter, start_at: datetime | None, stale_after: timedelta
) -> dict[str, Any]:
    wants_approval = newsletter.wants_approval
    begins = start_at or after_hold(0 if wants_approval else newsletter.hold_minutes)
    state = BroadcastState.AWAITING_APPROVAL if wants_approval else BroadcastState.SCHEDULED
    return {
        "state": state,
        "is_at_once": start_at is None,
        "start_at": begins,
        "not_after": begins + stale_after,
    }


def after_hold(minutes: int) -> datetime:
    """When a sending starts that is to start at once: until then it can be undone."""
    return now() + timedelta(minutes=minutes)


def frozen_columns(plan: Plan) -> dict[str, Any]:
    """Of a Content: all but whose it is."""
    return {
        "content_hash": plan.content_hash(),
        "compiled": plan.email.to_json(),
        "identity": plan.identity.to_json(),
    }


def _made_by(session: Session, issue: Issue, request_key: str) -> Broadcast | None:
    made = session.scalar(select(Broadcast).where(Broadcast.request_key == request_key))
    if made is not None and made.issue_id != issue.id:
        raise RefusedError(say("this form was used for another issue; open it again"))
    return made


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


def _fits(
    session: Session, issue: Issue, lists: Sequence[SubscriberList], segment: Filter | None
) -> None:
    """The lists and the segment are the newsletter's."""
    if not lists:
        raise RefusedError(say("no list to send to: name one with --list"))
    for chosen in lists:
        if chosen.newsletter_id != issue.newsletter_id:
            raise RefusedError(
                say(
                    "list %(list)r does not belong to newsletter %(newsletter)r",
                    list=chosen.slug,
                    newsletter=issue.newsletter.slug,
                )
            )
    if segment is not None:
        segments.condition(session, segment, issue.newsletter_id)
