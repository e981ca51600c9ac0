"""`newsletter audit`: what those who work here did to people."""

from typing import Annotated

import typer

from newsletter.accounts import audit
from newsletter.cli import output, state

app = typer.Typer(help="What those who work here did to people.", no_args_is_help=True)


@app.command("list")
def list_(
    *,
    subscriber: Annotated[
        int | None,
        typer.Option(
            min=1, max=output.HIGHEST_ID, metavar="SUBSCRIBER", help="To this person alone."
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, help="How many, the latest first.")
    ] = 100,
    as_json: output.AsJson = False,
) -> None:
    """Who did what, the latest first. It names no reader, only their numbers."""
    with state.runtime().sessions.reading() as session:
        rows = [
            {
                "at": event.at,
                "actor": event.actor,
                "action": event.action,
                "subscriber": event.subscriber_id,
                "details": event.details,
            }
            for event in audit.trail(session, subscriber_id=subscriber, most=limit)
        ]
    output.print_table(rows, as_json=as_json, empty="Nothing was done to anybody.")
