"""`newsletter db`: the tables, and what is kept in them for how long."""

from datetime import timedelta
from functools import partial
from typing import Annotated

import typer

from newsletter.cli import output, state
from newsletter.core.clock import now
from newsletter.core.errors import SchemaError
from newsletter.core.runtime import open_runtime
from newsletter.migrations import schema
from newsletter.privacy import retention
from newsletter.tracking import engaging

app = typer.Typer(
    help="Create, upgrade, check and prune the database's tables.", no_args_is_help=True
)


@app.command()
def upgrade(*, dry_run: output.DryRun = False) -> None:
    """Bring the database to this version's tables. Safe to run again, and by several at once."""
    sessions = open_runtime(state.settings()).sessions
    if schema.is_current(sessions):
        output.say(f"The database is at this version ({schema.head()}); nothing to do.")
    elif dry_run:
        output.say(f"Would upgrade the database to {schema.head()}.")
    else:
        schema.upgrade(sessions)
        output.say(f"The database is now at {schema.head()}.")


@app.command()
def check(*, as_json: output.AsJson = False) -> None:
    """Compare the database with this version's tables; exit code 2 if they differ."""
    sessions = open_runtime(state.settings()).sessions
    current = schema.is_current(sessions)
    differences = schema.drift(sessions) if current else []
    if as_json:
        output.print_json({"current": current, "head": schema.head(), "differences": differences})
    if not current:
        raise SchemaError("the database is not at this version; run `newsletter db upgrade`")
    if differences:
        raise SchemaError("the tables differ from this version's: " + "; ".join(differences))
    if not as_json:
        output.say(f"The database is at this version ({schema.head()}) and its tables agree.")


@app.command()
def prune(
    *,
    older_than: Annotated[
        int | None,
        typer.Option(min=1, metavar="DAYS", help="Default: the setting retention.deliveries_days."),
    ] = None,
    dry_run: output.DryRun = False,
) -> None:
    """Delete who got broadcasts that ended long ago; their reports keep all figures.

    Safe to stop and to run again, also while mail is being sent.
    """
    runtime = state.runtime()
    days = older_than or runtime.settings.retention.deliveries_days
    with runtime.sessions.reading() as session:
        found = retention.prunable(session, now() - timedelta(days=days))
    rows = sum(one.deliveries + one.events for one in found)
    if not dry_run:
        with output.progress("pruning", rows) as bar:
            retention.prune(runtime.sessions, found, partial(bar.advance, bar.task_ids[0]))
    output.say(
        f"{'Would prune' if dry_run else 'Pruned'} {len(found)} broadcasts that ended more than "
        f"{days} days ago: {sum(one.deliveries for one in found)} deliveries, "
        f"{sum(one.events for one in found)} events. Their figures stay."
    )


@app.command("rebuild-engagement")
def rebuild_engagement(*, dry_run: output.DryRun = False) -> None:
    """Make anew, from the events that are kept, who opened and clicked last.

    Safe to stop and to run again, also while mail is read. Segments by `opened_within` and
    `clicked_within` are incomplete until it ends.
    """
    runtime = state.runtime()
    with runtime.sessions.reading() as session:
        events = engaging.count_events(session)
    if not dry_run:
        with output.progress("rebuilding", events) as bar:
            engaging.rebuild(runtime.sessions, partial(bar.advance, bar.task_ids[0]))
    output.say(f"{'Would go' if dry_run else 'Went'} through {events:,} opens and clicks.")
