"""`newsletter subscribers`: the people on the lists."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.accounts import audit
from newsletter.cli import output, people, state
from newsletter.cli.lists import new_list
from newsletter.cli.segments import SegmentName, inside_segment
from newsletter.core.errors import RefusedError
from newsletter.core.runtime import Runtime
from newsletter.core.slug import slugify
from newsletter.jobs.bell import attach_bell
from newsletter.mail.address import Address
from newsletter.sending.confirmation import ask_to_confirm
from newsletter.sending.smtp_transport import transports_for
from newsletter.sending.system_mail import deliver_outbox
from subscribers import subscriptions, suppressions
from subscribers.exporting import count_rows, export_list
from subscribers.importing import ImportOptions, ImportReport, import_file
from subscribers.lists import find_list
from subscribers.models import Subscriber, SubscriberList, SubscriptionStatus
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
    target = _Target(list_name)
    size = file.stat().st_size if file.is_file() else None
    with output.progress(f"import {file.name}", size) as bar:
        report = import_file(
            runtime.sessions,
            file,
            target.find_or_make,
            options,
            lambda done: bar.update(bar.task_ids[0], completed=done),
        )
    if as_json:
        output.print_json(_as_data(report, dry_run=dry_run))
        return
    if target.made:
        output.say(f"{'Would make' if dry_run else 'Made'} list {target.made!r}.")
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
    segment: SegmentName = None,
    dry_run: output.DryRun = False,
) -> None:
    """Write everybody on a list, whatever their status, to a CSV file that imports again."""
    with state.runtime().sessions.reading() as session:
        chosen = find_list(session, list_name)
        inside = inside_segment(session, chosen, segment)
        count = count_rows(session, chosen.id, where=inside)
        if dry_run:
            output.say(f"Would write {count:,} rows to {out}.")
            return
        with output.progress(f"export {chosen.slug}", count) as bar:
            count = export_list(
                session,
                chosen.id,
                out,
                lambda done: bar.update(bar.task_ids[0], completed=done),
                where=inside,
            )
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
        _refuse_the_erased(session, runtime, parsed)
        person = subscriptions.ensure_subscriber(session, parsed, name)
        if confirm:
            evidence = Evidence("command", wording="Asked to confirm by mail.")
            mailed = ask_to_confirm(session, runtime, person, chosen, evidence)
        else:
            evidence = Evidence("command", wording="The operator states that they agreed.")
            subscriptions.subscribe(session, person, chosen, evidence)
            mailed = False
        actor = audit.at_the_command_line()
        audit.record(session, actor, "subscriber.added", person.id, list=chosen.slug)
        said = _standing(session, person, chosen, mailed=mailed, dry_run=dry_run)
    if mailed and runtime.settings.embedded and not dry_run:
        deliver_outbox(runtime, *transports_for(runtime.settings.relays))
    output.say(said)


app.command()(people.show)
app.command("export-person")(people.export_person)
app.command()(people.erase)


def _refuse_the_erased(session: Session, runtime: Runtime, address: Address) -> None:
    key = runtime.erasure_key
    if key and suppressions.find(session, suppressions.erased_suppression(key, address.key)):
        raise RefusedError(
            f"{address.typed} asked to be forgotten; only they can come back, by signing up"
        )


def _standing(
    session: Session, person: Subscriber, on: SubscriberList, *, mailed: bool, dry_run: bool
) -> str:
    """What is so now, not what was asked for."""
    subscription = subscriptions.find_subscription(session, person.id, on.id)
    assert subscription
    verb = "would be" if dry_run else "is"
    if subscription.status is SubscriptionStatus.ACTIVE:
        said = f"{person.email} {verb} on the list {on.slug!r}"
    elif mailed:
        said = f"{person.email} {verb} asked to confirm {on.slug!r}"
    else:
        said = f"{person.email} was asked to confirm {on.slug!r} and has not yet"
    if suppressions.is_suppressed(session, person.address_key):
        said += "; the address is suppressed and gets no issue"
    return f"{said}."


@dataclass(slots=True)
class _Target:
    """The list that an import goes to; `made` is its short name if it was not there."""

    name: str
    made: str = ""

    def find_or_make(self, session: Session) -> int:
        slug = slugify(self.name, place="--list")
        found = session.scalar(select(SubscriberList.id).where(SubscriberList.slug == slug))
        if found is not None:
            return found
        created = new_list(session, self.name)
        self.made = created.slug
        return created.id


def _as_data(report: ImportReport, *, dry_run: bool) -> dict[str, Any]:
    return {
        "rows": report.rows,
        "dry_run": dry_run,
        **{fate.name.lower(): n for fate, n in report.counts.items()},
        "first_problems": report.first_problems,
        "bad_rows": str(report.bad_rows) if report.bad_rows else None,
    }
