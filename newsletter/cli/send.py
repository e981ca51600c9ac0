"""`newsletter send`: check an issue and send it, now, later, or as a test."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.accounts import audit
from newsletter.broadcasts import control, planning
from newsletter.broadcasts.models import Broadcast, BroadcastState, DeliveryState
from newsletter.broadcasts.planning import Plan, PreflightError
from newsletter.cli import following, output, state
from newsletter.cli.ending import told_to_end
from newsletter.cli.issues import print_findings, store
from newsletter.core.clock import now
from newsletter.core.errors import InputError, RefusedError
from newsletter.core.runtime import Runtime
from newsletter.core.sections import OnInDoubt
from newsletter.core.sentences import say
from newsletter.issues import editing
from newsletter.issues.models import Issue
from newsletter.issues.parsing import parse, read_text
from newsletter.jobs.bell import attach_bell
from newsletter.jobs.embedded import sending
from newsletter.mail.address import Address
from newsletter.sending import system_mail
from newsletter.sending.models import SystemMail
from newsletter.sending.signing import ready_to_sign
from newsletter.sending.smtp_transport import transports_for
from newsletter.sending.trial_copies import post, trial_copies
from subscribers import segments
from subscribers.audience import count_audience
from subscribers.filters.language import parse as parse_segment
from subscribers.lists import find_list, of_newsletter
from subscribers.models import SubscriberList

_FARTHEST_YEARS = 10


def send(
    issue: Annotated[str, typer.Argument(metavar="ISSUE", help="A file, a date, or an id.")],
    *,
    lists: Annotated[
        list[str] | None,
        typer.Option(
            "--list",
            metavar="LIST",
            help="A list to send to; repeat for several. Default: the only one.",
        ),
    ] = None,
    segment: Annotated[
        str | None,
        typer.Option(
            metavar="NAME_OR_FILTER",
            help="Only those inside: a saved segment, or a filter such as 'tag = \"vip\"'.",
        ),
    ] = None,
    at: Annotated[
        datetime | None,
        typer.Option(metavar="TIME", help="Start then (local time unless it names a zone)."),
    ] = None,
    test: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Send one test mail there instead.")
    ] = None,
    on_in_doubt: Annotated[
        OnInDoubt | None,
        typer.Option(help="When nobody can know: hold, assume_accepted or resend."),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for the end.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Send again what a list already got.")
    ] = False,
    dry_run: output.DryRun = False,
) -> None:
    """Check an issue, freeze it, and send it to every subscriber of its lists."""
    runtime = _ready(issue, at, dry_run=dry_run)
    if test is not None:
        _send_test(runtime, issue, test, dry_run=dry_run)
        return
    broadcast_id = schedule_issue(
        runtime,
        issue,
        lists or [],
        at,
        segment=segment,
        on_in_doubt=on_in_doubt,
        force=force,
        dry_run=dry_run,
    )
    if broadcast_id is not None:
        _see_it_through(runtime, broadcast_id, detach=detach)


def _ready(issue: str, at: datetime | None, *, dry_run: bool) -> Runtime:
    """The runtime; what is wrong as typed or set is refused before anything is stored."""
    _check_moment(at)
    if (file := _file(issue)) is not None:
        parse(read_text(file), str(file))
    runtime = state.runtime()
    if not dry_run:
        transports_for(runtime.settings.relays)
    ready_to_sign(runtime.settings)
    attach_bell(runtime)
    return runtime


def _check_moment(at: datetime | None) -> None:
    """Within what clocks and time zones can tell; a start in the past is a start now."""
    if at is not None and not -1 <= at.year - now().year <= _FARTHEST_YEARS:
        raise InputError(
            "--at",
            say(
                "expected a time within the next %(years)s years",
                years=_FARTHEST_YEARS,
            ),
        )


def schedule_issue(
    runtime: Runtime,
    issue_text: str,
    list_names: list[str],
    at: datetime | None,
    *,
    segment: str | None = None,
    on_in_doubt: OnInDoubt | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> int | None:
    """Commit the broadcast and return its id; rehearsed, say what it would be and return None."""
    with runtime.sessions.writing(rehearse=dry_run) as session:
        plan = _plan(session, runtime, issue_text)
        lists = _lists(session, plan.issue, list_names)
        broadcast = planning.schedule(
            session,
            plan,
            lists,
            start_at=at.astimezone() if at else None,
            stale_after=timedelta(hours=runtime.settings.delivery.stale_after_hours),
            on_in_doubt=on_in_doubt or runtime.settings.delivery.on_in_doubt,
            segment=segments.read(session, lists, segment) if segment is not None else None,
            force=force,
            asked_by=audit.at_the_command_line(),
        )
        audit.record(
            session, broadcast.asked_by, "broadcast.planned", broadcast=broadcast.id, force=force
        )
        _announce(session, plan, lists, broadcast, dry_run=dry_run)
    return None if dry_run else broadcast.id


def _plan(session: Session, runtime: Runtime, issue_text: str) -> Plan:
    issue = _find_or_import(session, runtime, issue_text)
    try:
        plan = planning.prepare(issue, runtime.settings, today=now().astimezone().date())
    except PreflightError as error:
        print_findings(issue.source_name, error.findings)
        raise
    print_findings(issue.source_name, plan.compilation.findings)
    return plan


def _find_or_import(session: Session, runtime: Runtime, text: str) -> Issue:
    """An issue by date or id; a file is imported first."""
    path = _file(text)
    if path is None:
        return editing.find_issue(session, text)
    content = read_text(path)
    stored = store(session, runtime.settings, parse(content, str(path)), content)
    if stored.newsletter_created:
        output.say(f"Newsletter {stored.issue.newsletter.name!r} is new.")
    return stored.issue


def _file(text: str) -> Path | None:
    """The file that is meant; None when it is a date or an id."""
    path = Path(text)
    try:
        if path.is_file():
            return path
    except OSError as error:
        raise InputError(
            f"{text[:80]}…", say("no such file: %(strerror)s", strerror=error.strerror)
        ) from None
    if path.suffix:
        raise InputError(text, say("no such file"))
    return None


def _lists(session: Session, issue: Issue, names: list[str]) -> list[SubscriberList]:
    """The named lists, or the newsletter's only one."""
    if names:
        return [find_list(session, name) for name in dict.fromkeys(names)]
    own = of_newsletter(session, issue.newsletter_id)
    if len(own) == 1:
        return list(own)
    known = ", ".join(found.slug for found in own) or "none yet: `newsletter lists create NAME`"
    raise RefusedError(say("say which list with --list (%(known)s)", known=known))


def _announce(
    session: Session,
    plan: Plan,
    lists: list[SubscriberList],
    broadcast: Broadcast,
    *,
    dry_run: bool,
) -> None:
    inside = None
    if broadcast.segment:
        tree = parse_segment(broadcast.segment)
        inside = segments.condition(session, tree, plan.issue.newsletter_id)
    audience = count_audience(session, [chosen.id for chosen in lists], inside)
    excluded = ", ".join(f"{n} {reason}" for reason, n in sorted(audience.excluded.items()))
    output.say(
        f"{'Would send' if dry_run else f'Broadcast {broadcast.id}:'} "
        f"{plan.email.public_subject()!r} to {', '.join(chosen.name for chosen in lists)}"
        f"{f', those with {broadcast.segment}' if broadcast.segment else ''}: "
        f"{audience.mailable} recipients" + (f", excluded {excluded}" if excluded else "")
    )


def _see_it_through(runtime: Runtime, broadcast_id: int, *, detach: bool) -> None:
    with runtime.sessions.reading() as session:
        broadcast = control.find_broadcast(session, broadcast_id)
    if broadcast.state is BroadcastState.AWAITING_APPROVAL:
        output.say(
            "It waits for a second person: they approve it at the desk, or by "
            f"`newsletter broadcasts approve {broadcast_id}`."
        )
        return
    is_later = broadcast.start_at > now()
    if is_later or detach or not runtime.settings.embedded:
        _say_how_it_goes_on(runtime, broadcast, is_later=is_later)
        return
    with told_to_end() as ending:
        with sending(runtime, transports_for(runtime.settings.relays)):
            following.follow(runtime, broadcast_id, ending)
        following.conclude(runtime, broadcast_id)


def _say_how_it_goes_on(runtime: Runtime, broadcast: Broadcast, *, is_later: bool) -> None:
    running = (
        "`newsletter serve` or `newsletter worker`"
        if runtime.settings.embedded
        else "the Celery workers and beat"
    )
    when = f" at {broadcast.start_at.astimezone():%Y-%m-%d %H:%M %Z}" if is_later else ""
    watch = f"`newsletter broadcasts watch {broadcast.id}` follows it"
    output.say(f"It starts{when} by itself while {running} run; {watch}.")
    if is_later:
        output.say(f"Until then `newsletter broadcasts cancel {broadcast.id}` takes it back.")


def _send_test(runtime: Runtime, issue_text: str, address: str, *, dry_run: bool) -> None:
    """One mail as a subscriber would get it, without tracking, through the outbox."""
    to = Address.parse(address, place="--test")
    with runtime.sessions.writing(rehearse=dry_run) as session:
        plan = _plan(session, runtime, issue_text)
        (copy,) = trial_copies(runtime, plan, [to])
        post(session, [copy])
    named = f"test of {plan.email.public_subject()!r} to {to.typed}"
    if dry_run:
        output.say(f"Would send a {named}.")
        return
    if runtime.settings.embedded:
        system_mail.deliver_outbox(runtime, *transports_for(runtime.settings.relays))
    output.say(_became(runtime, copy.key, named))


def _became(runtime: Runtime, key: str, named: str) -> str:
    """What came of a test mail, in a sentence.

    Raises:
        RefusedError: the relay refused it for good, or it cannot be known.
    """
    with runtime.sessions.reading() as session:
        mail = session.scalars(select(SystemMail).where(SystemMail.idempotency_key == key)).one()
    said = f"{mail.reply_code} {mail.reply_text}" if mail.reply_code else mail.reason
    if mail.state is DeliveryState.ACCEPTED:
        return f"A {named} was accepted."
    if mail.state is DeliveryState.PENDING:
        return f"A {named} waits in the outbox" + (f": {said}." if said else ".")
    raise RefusedError(
        say(
            "the %(mail)s is %(state)s: %(said)s",
            mail=named,
            state=mail.state.name.lower().replace("_", " "),
            said=said,
        )
    )
