"""`newsletter subscribers`: the people on the lists."""

from typing import Annotated, Any

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.cli import output, state, subscriber_files
from newsletter.core.errors import NotFoundError, RefusedError
from newsletter.jobs.bell import attach_bell
from newsletter.mail.address import Address
from newsletter.sending.confirmation import ask_to_confirm
from newsletter.sending.smtp_transport import transports_for
from newsletter.sending.system_mail import deliver_outbox
from subscribers import subscriptions, suppressions
from subscribers.lists import find_list
from subscribers.models import Subscriber, SubscriberList, Subscription, SubscriptionStatus
from subscribers.subscriptions import Evidence

app = typer.Typer(help="The people on the lists.", no_args_is_help=True)

ListName = Annotated[str, typer.Option("--list", help="The list.")]


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
        if suppressions.erased_among(session, [parsed], runtime.erasure_key):
            raise RefusedError(f"{address} asked to be erased; only they can come back, by a form")
        person = subscriptions.ensure_subscriber(session, parsed, name)
        if confirm:
            evidence = Evidence("command", wording="Asked to confirm by mail.")
            mailed = ask_to_confirm(session, runtime, person, chosen, evidence)
        else:
            evidence = Evidence("command", wording="The operator states that they agreed.")
            subscriptions.subscribe(session, person, chosen, evidence)
            mailed = False
        said = _standing(session, person, chosen, mailed=mailed, dry_run=dry_run)
    if mailed and runtime.settings.embedded and not dry_run:
        deliver_outbox(runtime, *transports_for(runtime.settings.relays))
    output.say(said)


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
