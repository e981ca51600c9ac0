"""`newsletter subscribers`: the people on the lists."""

from typing import Annotated

import typer
from sqlalchemy.orm import Session

from newsletter.accounts import audit
from newsletter.cli import directory, output, people, state, subscriber_files
from newsletter.core.errors import RefusedError
from newsletter.core.runtime import Runtime
from newsletter.core.sentences import say
from newsletter.jobs.bell import attach_bell
from newsletter.mail.address import Address
from newsletter.sending.confirmation import ask_to_confirm
from newsletter.sending.smtp_transport import transports_for
from newsletter.sending.system_mail import deliver_outbox
from subscribers import subscriptions, suppressions
from subscribers.evidence import Evidence
from subscribers.lists import find_list
from subscribers.models import ConsentMethod, Subscriber, SubscriberList, SubscriptionStatus

app = typer.Typer(help="The people on the lists.", no_args_is_help=True)

ListName = Annotated[str, typer.Option("--list", metavar="LIST", help="The list.")]


app.command("import")(subscriber_files.import_)
app.command()(subscriber_files.export)


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
            evidence = Evidence(ConsentMethod.COMMAND, wording="Asked to confirm by mail.")
            mailed = ask_to_confirm(session, runtime, person, chosen, evidence)
        else:
            evidence = Evidence(
                ConsentMethod.COMMAND, wording="The operator states that they agreed."
            )
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
app.command("list")(directory.list_)


def _refuse_the_erased(session: Session, runtime: Runtime, address: Address) -> None:
    if suppressions.erased_among(session, [address.key], runtime.erasure_key):
        raise RefusedError(
            say(
                "%(address)s asked to be forgotten; only they can come back, by signing up",
                address=address.typed,
            )
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
        said = f"{person.email} has to confirm {on.slug!r} still; the mailbox had enough mails"
    if suppressions.is_suppressed(session, person.address_key):
        said += "; the address is suppressed and gets no issue"
    return f"{said}."
