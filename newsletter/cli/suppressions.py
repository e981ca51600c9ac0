"""`newsletter suppressions`: addresses that must not be mailed."""

from typing import Annotated

import typer

from newsletter.cli import output, state
from newsletter.mail.address import Address
from subscribers import suppressions
from subscribers.models import SuppressionReason

app = typer.Typer(help="Addresses that must not be mailed.", no_args_is_help=True)


@app.command()
def add(
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="The address; every spelling of it is meant.")
    ],
    *,
    dry_run: output.DryRun = False,
) -> None:
    """Never mail this address again, whatever its subscriptions say."""
    parsed = Address.parse(address)
    with state.runtime().sessions.writing(rehearse=dry_run) as session:
        added = suppressions.suppress(
            session, parsed.key, reason=SuppressionReason.MANUAL, source="command"
        )
    if not added:
        output.say(f"{parsed.key} is suppressed already.")
    else:
        output.say(f"{parsed.key} {'would be' if dry_run else 'is'} suppressed.")


@app.command("list")
def list_(*, as_json: output.AsJson = False) -> None:
    """All suppressed addresses with their reasons."""
    with state.runtime().sessions.reading() as session:
        rows = [
            {
                "address": found.key,
                "reason": found.reason.value,
                "source": found.source,
                "since": found.created_at,
            }
            for found in suppressions.list_suppressions(session)
        ]
    output.print_table(rows, as_json=as_json, empty="No address is suppressed.")
