"""`newsletter suppressions`: addresses and domains that must not be mailed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.accounts import audit
from newsletter.cli import output, state
from newsletter.core.erasure_key import ErasureKey
from newsletter.core.errors import NotFoundError, RefusedError
from newsletter.core.sentences import say
from subscribers import suppressions
from subscribers.blocklists import Fate, export_blocklist, import_blocklist
from subscribers.imports.bulk import take_turns
from subscribers.lists import find_list, slugs_of_lists
from subscribers.models import (
    EVERYWHERE,
    Subscriber,
    Suppression,
    SuppressionReason,
)

app = typer.Typer(help="Addresses and domains that must not be mailed.", no_args_is_help=True)

_Key = Annotated[
    str,
    typer.Argument(
        metavar="ADDRESS|@DOMAIN",
        help="An address, every spelling of it; or everybody at exactly this domain.",
    ),
]
_ListName = Annotated[
    str | None,
    typer.Option("--list", metavar="LIST", help="For this list alone. Default: for all, for ever."),
]
_OfList = Annotated[
    str | None, typer.Option("--list", metavar="LIST", help="Only those for this list alone.")
]
_Given = Literal["manual", "gone", "complaint"]


@app.command()
def add(
    address: _Key,
    *,
    list_name: _ListName = None,
    reason: Annotated[_Given, typer.Option(help="Why.")] = "manual",
    dry_run: output.DryRun = False,
) -> None:
    """Never mail this address or domain again, whatever its subscriptions say."""
    key, why = suppressions.parse_key(address), SuppressionReason(reason)
    runtime = state.runtime()
    with runtime.sessions.writing(rehearse=dry_run) as session:
        _check_not_erased(session, key, runtime.erasure_key)
        place = _list_id(session, list_name)
        added = suppressions.suppress(session, key, reason=why, source="command", list_id=place)
        if added:
            _record(session, "suppression.added", key, list_name, reason=why.value)
    if not added:
        output.say(f"{key} is suppressed already{_where(list_name)}.")
    else:
        output.say(f"{key} {'would be' if dry_run else 'is'} suppressed{_where(list_name)}.")


@app.command()
def lift(
    address: _Key,
    *,
    list_name: _ListName = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also what a complaint or an erasure put there.")
    ] = False,
    dry_run: output.DryRun = False,
) -> None:
    """Allow mail to this address or domain again. It subscribes nobody.

    Who complained or asked to be forgotten said so themselves: that takes --force.
    """
    runtime = state.runtime()
    key = suppressions.parse_key(address)
    with runtime.sessions.writing(rehearse=dry_run) as session:
        place = _list_id(session, list_name)
        keys = [key]
        if runtime.erasure_key and key[0] not in "@#":
            keys.append(suppressions.erased_suppression(runtime.erasure_key, key))
        found = [one for one in (suppressions.find(session, k, place) for k in keys) if one]
        if not found:
            raise NotFoundError(
                "suppression", key, say("a domain's or a list's goes by its own name")
            )
        for one in found:
            _check_force(one, force=force)
            suppressions.lift(session, one.key, list_id=place)
            _record(session, "suppression.lifted", one.key, list_name, reason=one.reason.value)
    output.say(
        f"{key} {'would be' if dry_run else 'is'} not suppressed any more{_where(list_name)}: "
        "whoever is subscribed gets mail again; nobody is subscribed by this."
    )


@app.command("list")
def list_(*, list_name: _OfList = None, as_json: output.AsJson = False) -> None:
    """All suppressions with their reasons, in the order they came."""
    with state.runtime().sessions.reading() as session:
        place = _list_id(session, list_name) if list_name else None
        output.print_stream(
            _rows(session, place), as_json=as_json, empty="No address is suppressed."
        )


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="CSV with a column `address`, `email` or `domain`, or one address on each line.",
        ),
    ],
    *,
    list_name: _ListName = None,
    dry_run: output.DryRun = False,
    as_json: output.AsJson = False,
) -> None:
    """Suppress everybody in a file, such as another system's blocklist. Safe to run again."""
    runtime = state.runtime()
    sessions = runtime.sessions
    with sessions.reading() as session:
        place = _list_id(session, list_name)
    report = import_blocklist(sessions, file, place, erased=runtime.erasure_key, rehearse=dry_run)
    if not dry_run:
        with sessions.writing() as session:
            counts = {fate.name.lower(): report.counts[fate] for fate in Fate}
            audit.record(
                session, audit.at_the_command_line(), "suppression.imported", None, **counts
            )
    if as_json:
        counts = {fate.name.lower(): report.counts[fate] for fate in Fate}
        output.print_json({"dry_run": dry_run, **counts, "problems": report.first_problems})
        return
    output.say(report.line() + (" Nothing was changed." if dry_run else ""))
    for problem in report.first_problems:
        output.problem(problem)


@app.command()
def export(
    *,
    list_name: _OfList = None,
    out: Annotated[Path, typer.Option(help="The CSV file to write.")],
    dry_run: output.DryRun = False,
) -> None:
    """Write suppressions, erased people as hashes, to a CSV file that imports again."""
    sessions = state.runtime().sessions
    with sessions.reading() as session:
        place = _list_id(session, list_name) if list_name else None
        if dry_run:
            count = suppressions.count(session, place)
            output.say(f"Would write {count:,} rows to {out}.")
            return
        count = export_blocklist(session, out, place)
    details = {"list": list_name} if list_name else {}
    with sessions.writing() as session:
        audit.record(
            session,
            audit.at_the_command_line(),
            "suppression.exported",
            None,
            rows=count,
            **details,
        )
    output.say(f"Wrote {count:,} rows to {out}.")


def _list_id(session: Session, name: str | None) -> int:
    return find_list(session, name).id if name else EVERYWHERE


def _where(list_name: str | None) -> str:
    return f" for the list {list_name!r}" if list_name else ""


def _check_not_erased(session: Session, key: str, erased: ErasureKey | None) -> None:
    take_turns(session)  # with who erases
    if key[0] not in "@#" and suppressions.erased_among(session, [key], erased):
        raise RefusedError(
            say(
                "this address was erased and is suppressed by its hash: "
                "nothing is written down again"
            )
        )


def _check_force(found: Suppression, *, force: bool) -> None:
    told = {
        SuppressionReason.COMPLAINT: "complained about your mail",
        SuppressionReason.ERASED: "asked to be forgotten",
    }.get(found.reason)
    if told and not force:
        raise RefusedError(
            say(
                "the person %(told)s: mail to them is at your own risk; if they want it, --force",
                told=told,
            )
        )


def _record(session: Session, action: str, key: str, list_name: str | None, **details: str) -> None:
    """Without the address; with the subscriber, where there is one."""
    person = session.scalar(select(Subscriber.id).where(Subscriber.address_key == key))
    kind = {"@": "domain", "#": "hash"}.get(key[0], "address")
    audit.record(
        session,
        audit.at_the_command_line(),
        action,
        person,
        kind=kind,
        list=list_name or "",
        **details,
    )


def _rows(session: Session, list_id: int | None) -> Iterator[dict[str, Any]]:
    slugs = slugs_of_lists(session)
    for found in suppressions.each_suppression(session, list_id):
        yield {
            "key": found.key,
            "list": slugs.get(found.list_id, ""),
            "reason": found.reason.value,
            "source": found.source,
            "since": found.created_at,
        }
