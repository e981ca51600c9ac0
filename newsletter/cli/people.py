"""`newsletter subscribers show | export-person | erase`: one person, across every table."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.accounts import audit
from newsletter.cli import output, state
from newsletter.core.erasure_key import ErasureKey
from newsletter.core.errors import InputError, NotFoundError, RefusedError
from newsletter.core.sentences import say
from newsletter.mail.address import Address
from newsletter.privacy import erasure, person
from newsletter.privacy.mentions import Mention, find_mentions
from newsletter.privacy.traces import Traces, find_traces
from subscribers import subscriptions, suppressions
from subscribers.evidence import consent_history
from subscribers.imports.runs import waiting_files
from subscribers.lists import slugs_of_lists
from subscribers.models import Subscriber, Subscription
from subscribers.sign_up_counts import forget_letters

_Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="Their address.")]


def show(address: _Address, *, as_json: output.AsJson = False) -> None:
    """One person: subscriptions, consent history, suppressions, mails, what was done to them.

    Also an address of nobody who is subscribed any more, but of old mails or suppressions.
    """
    runtime = state.runtime()
    parsed = Address.parse(address)
    with runtime.sessions.reading() as session:
        found = subscriptions.find_subscriber(session, parsed)
        kept = find_traces(session, parsed)
        if found is None and not kept.any:
            raise _nobody(session, parsed, runtime.erasure_key)
        details = _details(session, parsed, found, kept, runtime.erasure_key)
    if as_json:
        output.print_json(details)
        return
    tables = {name: details.pop(name) for name in _TABLES}
    if details["id"] is None:
        output.say("An address of nobody who is subscribed.")
        del details["id"]
    for key, value in details.items():
        output.say(f"{key.replace('_', ' '):12} {value}")
    for name, empty in _TABLES.items():
        output.print_table(_filled(tables[name]), empty=empty)


def _filled(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For people: a column that says nothing in any row only takes their screen."""
    said = {name for row in rows for name, value in row.items() if value}
    return [{name: value for name, value in row.items() if name in said} for row in rows]


_TABLES = {
    "suppressions": "Not suppressed.",
    "subscriptions": "On no list.",
    "consent": "No consent recorded.",
    "engagement": "No opens or clicks of a reader who agreed to be tracked.",
    "audit": "Nobody who works here did anything to them.",
}


def export_person(
    address: _Address,
    *,
    out: Annotated[
        Path | None, typer.Option(help="The JSON file to write. Default: standard output.")
    ] = None,
) -> None:
    """Everything that is kept about one person as JSON, to hand over to them.

    Also an address of nobody who is subscribed any more, but of old mails or suppressions.
    """
    runtime = state.runtime()
    parsed = Address.parse(address)
    with runtime.sessions.writing() as session:
        found = subscriptions.find_subscriber(session, parsed)
        if found is None and not find_traces(session, parsed).any:
            raise _nobody(session, parsed, runtime.erasure_key)
        number = found.id if found else None
        audit.record(session, audit.at_the_command_line(), "subscriber.exported", number)
        session.flush()
        document = (
            person.export(session, found.id) if found else person.export_address(session, parsed)
        )
        if out is None:
            output.print_json(document)
        else:
            _write(out, json.dumps(document, ensure_ascii=False, indent=2) + "\n")
    if out:
        output.say(f"Wrote {out}.")


def erase(
    address: _Address,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; it cannot be undone.")] = False,
    dry_run: output.DryRun = False,
) -> None:
    """Forget one person in every table; only a keyed hash keeps imports from bringing them back.

    Also an address of nobody who is subscribed any more, but of old mails or suppressions.
    """
    runtime = state.runtime()
    key = erasure.erasure_key(runtime)
    parsed = Address.parse(address)
    searched = waiting_files.search(runtime.sessions, parsed)
    with runtime.sessions.reading() as session:
        found = subscriptions.find_subscriber(session, parsed)
        kept = find_traces(session, parsed)
        if found is None and not kept.any and not searched.naming:
            raise _nobody(session, parsed, key)
        mentions = find_mentions(session, parsed, found.name if found else "")
    output.say(f"{'Would erase' if dry_run else 'Erasing'} {_told(found, kept)}.")
    for each in mentions:
        output.say(_told_of_filter(each))
    if dry_run:
        return
    if not yes and not typer.confirm("Erase it all? It cannot be undone."):
        raise RefusedError(say("nothing was erased"))
    actor = audit.at_the_command_line()
    with runtime.sessions.writing() as session:
        if found:
            erasure.erase(session, found.id, key, actor, searched)
        else:
            erasure.erase_address(session, parsed, key, actor, searched)
        # They may come back by signing up. Behind their row, as whoever counts takes it.
        forget_letters(session, runtime.keys, parsed.key)
    output.say("Erased. Backups made before still hold it: see docs/privacy.md.")
    if runtime.sessions.dialect == "sqlite":
        output.say("`newsletter db compact` takes it out of the file's free space too.")


def _nobody(session: Session, address: Address, key: ErasureKey | None) -> Exception:
    hashed = suppressions.erased_suppression(key, address.key) if key else ""
    before = suppressions.find(session, hashed)
    if before:
        day = before.created_at.date().isoformat()
        return RefusedError(
            say(
                "%(address)s was erased already, on %(day)s; nothing is kept",
                address=address.typed,
                day=day,
            )
        )
    return NotFoundError("subscriber", address.typed, say("nothing is kept about this address"))


def _told(found: Subscriber | None, kept: Traces) -> str:
    parts = [f"{n} {name.replace('_', ' ')}" for name, n in asdict(kept).items() if n]
    who = f"subscriber {found.id}" if found else "an address of nobody who is subscribed"
    return f"{who}: {', '.join(parts) or 'no rows besides'}"


def _told_of_filter(found: Mention) -> str:
    """It stays as it is: only its owner knows whom it is about."""
    if found.segment_id is None:
        return (
            f"The filter of broadcast {found.broadcast_id} may still name them: {found.term}. "
            "It stays with what was sent by it."
        )
    return (
        f"The filter of segment {found.name!r} may still name them: {found.term}. "
        "Delete it with `newsletter segments delete`, or change it at the desk."
    )


def _write(file: Path, text: str) -> None:
    """Readable by its owner alone."""
    try:
        file.touch(mode=0o600)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            str(file), say("cannot be written: %(strerror)s", strerror=error.strerror)
        ) from None


def _details(
    session: Session,
    address: Address,
    found: Subscriber | None,
    kept: Traces,
    key: ErasureKey | None,
) -> dict[str, Any]:
    number = found.id if found else person.NO_ROW
    slugs = slugs_of_lists(session)
    return {
        **(_described(found) if found else {"id": None, "email": address.typed}),
        "suppressed": suppressions.is_suppressed(session, address.key),
        "deliveries": kept.deliveries,
        "system_mails": kept.system_mails,
        "import_lines": kept.import_lines,
        "suppressions": person.suppressions_of(session, address, slugs, key),
        "subscriptions": _subscriptions(session, number, slugs),
        "consent": _consent(session, number, slugs),
        "engagement": person.engagement_of(session, number),
        "audit": [
            {"at": event.at, "actor": event.actor, "action": event.action}
            for event in audit.trail(session, subscriber_id=number)
        ],
    }


def _described(found: Subscriber) -> dict[str, Any]:
    return {
        "id": found.id,
        "email": found.email,
        "name": found.name,
        "locale": found.locale,
        "time_zone": found.time_zone,
        "attributes": found.attributes,
    }


def _subscriptions(
    session: Session, subscriber_id: int, slugs: dict[int, str]
) -> list[dict[str, Any]]:
    rows = session.scalars(select(Subscription).where(Subscription.subscriber_id == subscriber_id))
    return [
        {
            "list": slugs[row.list_id],
            "status": row.status.value,
            "tracking_consent": row.tracking_consent.value,
            "subscribed_at": row.subscribed_at,
            "unsubscribed_at": row.unsubscribed_at,
            "paused_until": row.paused_until,
        }
        for row in rows
    ]


def _consent(session: Session, subscriber_id: int, slugs: dict[int, str]) -> list[dict[str, Any]]:
    return [
        {
            "at": event.at,
            "list": slugs[event.list_id],
            "change": event.change.value,
            "method": event.method,
            "source": event.source,
            "form": event.form,
            "ip": event.ip,
            "user_agent": event.user_agent,
            "wording": event.wording,
            "reason": event.reason.value if event.reason else "",
            "remark": event.remark,
        }
        for event in consent_history(session, subscriber_id)
    ]
