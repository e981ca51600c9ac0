"""`newsletter subscribers`: the people on the lists."""

from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.cli import output, state
from newsletter.cli.lists import new_list
from newsletter.core.errors import NotFoundError
from newsletter.core.runtime import Runtime
from newsletter.core.slug import slugify
from newsletter.jobs.bell import attach_bell
from newsletter.mail.address import Address
from newsletter.sending.confirmation import ask_to_confirm
from newsletter.sending.smtp_transport import transports_for
from newsletter.sending.system_mail import deliver_outbox
from subscribers import subscriptions, suppressions
from subscribers.exporting import export_list
from subscribers.importing import ImportOptions, import_file
from subscribers.lists import find_list
from subscribers.models import Subscriber, SubscriberList, Subscription
from subscribers.subscriptions import Evidence

app = typer.Typer(help="The people on the lists.", no_args_is_help=True)

ListName = Annotated[str, typer.Option("--list", help="The list.")]


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A CSV file with at least a column `email`.")
    ],
    *,
    list_name: Annotated[str, typer.Option("--list", help="The list; made if it is new.")],
    unconfirmed: Annotated[
        bool,
        typer.Option("--unconfirmed", help="They still have to confirm; nobody is mailed before."),
    ] = False,
    bad_rows: Annotated[
        Path | None,
        typer.Option(help="Where bad rows go with their reasons. Default: FILE.bad.csv."),
    ] = None,
    dry_run: output.DryRun = False,
    as_json: output.AsJson = False,
) -> None:
    """Put the people of a CSV file on a list. Safe to run again; revives nobody who left."""
    runtime = state.runtime()
    options = ImportOptions(
        unconfirmed=unconfirmed,
        rehearse=dry_run,
        bad_rows=bad_rows or file.with_name(file.name + ".bad.csv"),
    )
    list_id, made = _list_for_import(runtime, list_name, dry_run=dry_run)
    if made and not as_json:
        output.say(f"{'Would make' if dry_run else 'Made'} list {slugify(list_name)!r}.")
    size = file.stat().st_size if file.exists() else None
    with output.progress(f"import {file.name}", size) as bar:
        report = import_file(
            runtime.sessions,
            file,
            list_id,
            options,
            lambda done: bar.update(bar.task_ids[0], completed=done),
        )
    if as_json:
        counts = {fate.name.lower(): n for fate, n in report.counts.items()}
        output.print_json({"rows": report.rows, "dry_run": dry_run, **counts})
        return
    output.say(report.line() + (" Nothing was changed." if dry_run else ""))
    for problem in report.first_problems:
        output.problem(problem)
    if report.bad_rows:
        output.say(f"Bad rows are in {report.bad_rows}; import that file again once mended.")


@app.command()
def export(
    *,
    list_name: ListName,
    out: Annotated[Path, typer.Option(help="The CSV file to write.")],
) -> None:
    """Write everybody on a list, whatever their status, to a CSV file that imports again."""
    with state.runtime().sessions.reading() as session:
        count = export_list(session, find_list(session, list_name).id, out)
    output.say(f"Wrote {count:,} rows to {out}.")


@app.command()
def add(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Their address.")],
    *,
    list_name: ListName,
    name: Annotated[str, typer.Option(help="What to call them.")] = "",
    confirm: Annotated[
        bool,
        typer.Option("--confirm", help="Mail them a link; they are on the list once they confirm."),
    ] = False,
    dry_run: output.DryRun = False,
) -> None:
    """Put one person on a list, by your word that they agreed, or by asking them to confirm."""
    runtime = state.runtime()
    attach_bell(runtime)
    parsed = Address.parse(address)
    with runtime.sessions.writing(rehearse=dry_run) as session:
        chosen = find_list(session, list_name)
        person = subscriptions.ensure_subscriber(session, parsed, name)
        if confirm:
            evidence = Evidence("command", wording="Asked to confirm by mail.")
            ask_to_confirm(session, runtime, person, chosen, evidence)
        else:
            evidence = Evidence("command", wording="The operator states that they agreed.")
            subscriptions.subscribe(session, person, chosen, evidence)
    if confirm and runtime.settings.embedded and not dry_run:
        deliver_outbox(runtime, *transports_for(runtime.settings.relays))
    verb = "asked to confirm" if confirm else "on the list"
    output.say(f"{parsed.typed} {'would be' if dry_run else 'is'} {verb} {chosen.slug!r}.")


@app.command()
def show(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Their address.")],
    *,
    as_json: output.AsJson = False,
) -> None:
    """One person: subscriptions, consent history, suppression."""
    parsed = Address.parse(address)
    with state.runtime().sessions.reading() as session:
        person = subscriptions.find_subscriber(session, parsed)
        if person is None:
            raise NotFoundError("subscriber", address)
        details = _details(session, person)
    if as_json:
        output.print_json(details)
        return
    subscribed, history = details.pop("subscriptions"), details.pop("consent")
    for key, value in details.items():
        output.say(f"{key.replace('_', ' '):12} {value}")
    output.print_table(subscribed, empty="On no list.")
    output.print_table(history, empty="No consent recorded.")


def _list_for_import(runtime: Runtime, name: str, *, dry_run: bool) -> tuple[int, bool]:
    """The list's id and whether it was made now; rehearsed, a list that is not there has id 0."""
    with runtime.sessions.writing() as session:
        found = session.scalar(select(SubscriberList).where(SubscriberList.slug == slugify(name)))
        if found is not None:
            return found.id, False
        return (0 if dry_run else new_list(session, name).id), True


def _details(session: Session, person: Subscriber) -> dict[str, Any]:
    subscribed = session.execute(
        select(Subscription, SubscriberList.slug)
        .join(SubscriberList)
        .where(Subscription.subscriber_id == person.id)
    )
    slugs = dict(session.execute(select(SubscriberList.id, SubscriberList.slug)).all())
    return {
        "email": person.email,
        "name": person.name,
        "locale": person.locale,
        "time_zone": person.time_zone,
        "attributes": person.attributes,
        "suppressed": suppressions.is_suppressed(session, person.address_key),
        "subscriptions": [
            {
                "list": slug,
                "status": subscription.status.value,
                "tracking_consent": subscription.tracking_consent.value,
                "subscribed_at": subscription.subscribed_at,
                "unsubscribed_at": subscription.unsubscribed_at,
            }
            for subscription, slug in subscribed
        ],
        "consent": [
            {
                "at": event.at,
                "list": slugs[event.list_id],
                "change": event.change.value,
                "method": event.method,
                "source": event.source,
                "wording": event.wording,
            }
            for event in subscriptions.consent_history(session, person.id)
        ],
    }
