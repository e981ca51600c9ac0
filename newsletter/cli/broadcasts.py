"""`newsletter broadcasts`: watch a sending and steer it."""

from typing import Annotated, Any

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.accounts import audit
from newsletter.broadcasts import accounting, approval, control, planning
from newsletter.broadcasts.doubt import doubts
from newsletter.broadcasts.models import (
    Broadcast,
    Delivery,
    DeliveryState,
    PauseReason,
)
from newsletter.cli import following, in_doubt, output, state
from newsletter.core.clock import now
from newsletter.core.errors import InputError
from newsletter.core.runtime import Runtime
from newsletter.core.sentences import say
from newsletter.jobs.bell import attach_bell
from newsletter.mail.address import Address

app = typer.Typer(help="Watch a sending and steer it.", no_args_is_help=True)

Number = Annotated[
    int, typer.Argument(metavar="BROADCAST", max=output.HIGHEST_ID, help="Its number.")
]

_NAMED_ROWS = 50


@app.command("list")
def list_(*, as_json: output.AsJson = False) -> None:
    """All broadcasts, the newest first."""
    with state.runtime().sessions.reading() as session:
        rows = [_summary(session, broadcast) for broadcast in control.list_broadcasts(session)]
    output.print_table(rows, as_json=as_json, empty="No broadcast yet: `newsletter send ISSUE`.")


@app.command()
def show(broadcast_id: Number, *, as_json: output.AsJson = False) -> None:
    """One broadcast with its accounting line, and the recipients that need a look."""
    with state.runtime().sessions.reading() as session:
        details = _details(session, broadcast_id)
        details["recipients"] = _rows_to_look_at(session, broadcast_id)
        found = doubts(session, broadcast_id, limit=_NAMED_ROWS)
        details["in_doubt_recipients"] = in_doubt.rows(found)
    if as_json:
        output.print_json(details)
        return
    doubtful = details.pop("in_doubt_recipients")
    recipients = [row for row in details.pop("recipients") if row["state"] != "in_doubt"]
    for name, value in details.items():
        if value not in ("", None, {}):
            output.say(f"{name.replace('_', ' '):14} {value}")
    if recipients:
        output.say(f"\nFailed or waiting to be tried again (first {_NAMED_ROWS}):")
        output.print_table(recipients, empty="")
    if doubtful:
        output.say(f"\nOffered, and nobody can know what came of it (first {_NAMED_ROWS}):")
        output.print_table(doubtful, empty="")
        in_doubt.say_what_to_do(broadcast_id)


@app.command()
def watch(broadcast_id: Number, *, as_json: output.AsJson = False) -> None:
    """Follow a broadcast until it is done; Ctrl-C stops watching, not sending."""
    runtime = state.runtime()
    following.follow(runtime, broadcast_id)
    if not as_json:
        following.conclude(runtime, broadcast_id)
        return
    with runtime.sessions.reading() as session:
        output.print_json(_details(session, broadcast_id))


@app.command()
def approve(broadcast_id: Number, *, dry_run: output.DryRun = False) -> None:
    """Approve what somebody else asked to send, as it was when they asked."""
    runtime = _with_bell()
    with runtime.sessions.reading() as session:
        issue_id = control.find_broadcast(session, broadcast_id).issue_id
        seen = approval.asked_for(session, broadcast_id)
    today = now().astimezone().date()
    plan = planning.prepare_stored(runtime.sessions, issue_id, runtime.settings, today=today)
    with runtime.sessions.writing(rehearse=dry_run) as session:
        by = audit.at_the_command_line()
        broadcast = approval.approve(session, broadcast_id, plan, seen=seen, by=by)
        audit.record(session, by, "broadcast.approved", broadcast=broadcast_id)
    output.say(
        f"Broadcast {broadcast_id} {'would be' if dry_run else 'is'} approved; "
        f"it starts at {broadcast.start_at.astimezone():%Y-%m-%d %H:%M %Z}."
    )


@app.command()
def pause(broadcast_id: Number, *, dry_run: output.DryRun = False) -> None:
    """Stop offering mail; `resume` goes on."""
    _steer(broadcast_id, "paused", control.pause, PauseReason.OPERATOR, dry_run=dry_run)


@app.command()
def resume(broadcast_id: Number, *, dry_run: output.DryRun = False) -> None:
    """Go on with a paused broadcast."""
    _steer(broadcast_id, "resumed", control.resume, dry_run=dry_run)


@app.command()
def cancel(broadcast_id: Number, *, dry_run: output.DryRun = False) -> None:
    """End a broadcast: whoever was not yet offered the mail will not get it."""
    _steer(broadcast_id, "cancelled", control.cancel, dry_run=dry_run)


@app.command("retry-failed")
def retry_failed(
    broadcast_id: Number,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Also when the issue has gone stale.")
    ] = False,
    dry_run: output.DryRun = False,
) -> None:
    """Offer the failed recipients, and only them, the mail once more."""
    runtime = _with_bell()
    with runtime.sessions.writing(rehearse=dry_run) as session:
        retried = control.retry_failed(session, broadcast_id, force=force)
    verb = "would be" if dry_run else "are"
    output.say(f"{retried} failed recipients of broadcast {broadcast_id} {verb} in line again.")
    if retried and not dry_run:
        _say_who_sends(runtime, broadcast_id)


@app.command()
def resolve(
    broadcast_id: Number,
    *,
    accept: Annotated[
        bool, typer.Option("--accept", help="The relay took the mail, or it does not matter.")
    ] = False,
    resend: Annotated[
        bool, typer.Option("--resend", help="Offer it once more; who has it gets it twice.")
    ] = False,
    addresses: Annotated[
        list[str] | None,
        typer.Option(
            "--address", metavar="ADDRESS", help="Only this recipient; repeat for several."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Resend also when the issue has gone stale.")
    ] = False,
    dry_run: output.DryRun = False,
) -> None:
    """Decide about the recipients in doubt: call them accepted, or offer the mail once more."""
    if accept == resend:
        raise InputError("resolve", say("expected one of --accept and --resend"))
    keys = [Address.parse(address, place="--address").key for address in addresses or []]
    runtime = _with_bell()
    with runtime.sessions.writing(rehearse=dry_run) as session:
        if accept:
            found = control.accept_doubts(session, broadcast_id, address_keys=keys)
        else:
            found = control.resend_doubts(session, broadcast_id, address_keys=keys, force=force)
    output.print_table(in_doubt.rows(found), empty="")
    verb = "would be" if dry_run else "are"
    output.say(
        f"{len(found)} recipients of broadcast {broadcast_id} {verb} "
        f"{'accepted' if accept else 'in line again'}."
    )
    if resend and not dry_run:
        _say_who_sends(runtime, broadcast_id)


def _steer(broadcast_id: int, done: str, act: Any, *arguments: str, dry_run: bool) -> None:
    """Do `act` in one transaction; rehearsed, it is rolled back after all its checks."""
    runtime = _with_bell()
    with runtime.sessions.writing(rehearse=dry_run) as session:
        act(session, broadcast_id, *arguments)
        audit.record(
            session, audit.at_the_command_line(), f"broadcast.{done}", broadcast=broadcast_id
        )
    output.say(f"Broadcast {broadcast_id} {'would be' if dry_run else 'is'} {done}.")


def _say_who_sends(runtime: Runtime, broadcast_id: int) -> None:
    if runtime.settings.embedded:
        output.say(
            "They are sent by `newsletter serve` or `newsletter worker`, whichever is running; "
            f"follow them by `newsletter broadcasts watch {broadcast_id}`."
        )


def _with_bell() -> Runtime:
    runtime = state.runtime()
    attach_bell(runtime)
    return runtime


def _summary(session: Session, broadcast: Broadcast) -> dict[str, Any]:
    accounts = accounting.progress(session, broadcast.id)
    return {
        "id": broadcast.id,
        "issue": broadcast.issue.date,
        "subject": broadcast.issue.subject,
        "lists": ", ".join(chosen.list.slug for chosen in broadcast.lists),
        "state": broadcast.state.value,
        "start_at": broadcast.start_at,
        "candidates": accounts.candidates,
        "accepted": accounts.accepted,
        "failed": accounts.failed,
        "skipped": accounts.skipped,
        "in_doubt": accounts.in_doubt,
        "open": accounts.open,
    }


def _details(session: Session, broadcast_id: int) -> dict[str, Any]:
    """The summary, and everything that the accounting line says."""
    broadcast = control.find_broadcast(session, broadcast_id)
    accounts = accounting.account(session, broadcast_id)
    return {
        **_summary(session, broadcast),
        "segment": broadcast.segment,
        "pause_reason": broadcast.pause_reason,
        "pause_detail": broadcast.pause_detail,
        "resume_at": broadcast.resume_at,
        "not_after": broadcast.not_after,
        "on_in_doubt": broadcast.on_in_doubt,
        "finished_at": broadcast.finished_at,
        "asked_by": broadcast.asked_by,
        "approved_by": broadcast.approved_by,
        "excluded": dict(accounts.excluded),
        "gap": accounts.gap,
        "accounting": accounts.line(),
    }


def _rows_to_look_at(session: Session, broadcast_id: int) -> list[dict[str, Any]]:
    """Failed and in-doubt recipients, and those waiting after a refusal, with times and replies."""
    worth_a_look = Delivery.state.in_([DeliveryState.FAILED, DeliveryState.IN_DOUBT]) | (
        (Delivery.state == DeliveryState.PENDING) & (Delivery.reason != "")
    )
    rows = session.scalars(
        select(Delivery)
        .where(Delivery.broadcast_id == broadcast_id, worth_a_look)
        .order_by(Delivery.id)
        .limit(_NAMED_ROWS)
    )
    return [
        {
            "address": row.address,
            "state": row.state.name.lower(),
            "reason": row.reason,
            "reply": f"{row.reply_code or ''} {row.reply_text}".strip(),
            "last_at": row.last_at,
        }
        for row in rows
    ]
