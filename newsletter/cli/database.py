"""`newsletter db`: the tables, and what is kept in them for how long."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Annotated

import typer

from newsletter.cli import output, state
from newsletter.core.clock import now
from newsletter.core.errors import SchemaError
from newsletter.core.runtime import Runtime, open_runtime
from newsletter.core.sections import RetentionSettings
from newsletter.core.sentences import say
from newsletter.migrations import schema
from newsletter.privacy import compaction, retention, upkeep
from newsletter.privacy.unconfirmed import count_unconfirmed, forget_unconfirmed
from newsletter.tracking import engaging
from subscribers import erased

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
    """Compare the database with this version's tables and with the erasure key.

    Exit code 2 if the tables differ, 1 if nobody could tell by the key who was erased.
    """
    runtime = open_runtime(state.settings())
    sessions = runtime.sessions
    current = schema.is_current(sessions)
    differences = schema.drift(sessions) if current else []
    if as_json:
        found = {"current": current, "head": schema.head(), "differences": differences}
        output.print_json(found | ({"erasure_key_fits": _key_fits(runtime)} if current else {}))
    if not current:
        raise SchemaError(say("the database is not at this version; run `newsletter db upgrade`"))
    if differences:
        raise SchemaError(
            say("the tables differ from this version's: %(how)s", how="; ".join(differences))
        )
    with sessions.reading() as session:
        erased.check_key(session, runtime.erasure_key)
    if not as_json:
        output.say(f"The database is at this version ({schema.head()}) and its tables agree.")


def _key_fits(runtime: Runtime) -> bool:
    with runtime.sessions.reading() as session:
        return erased.fits(session, runtime.erasure_key)


@app.command()
def prune(
    *,
    older_than: Annotated[
        int | None,
        typer.Option(min=1, metavar="DAYS", help="Default: the setting retention.deliveries_days."),
    ] = None,
    dry_run: output.DryRun = False,
) -> None:
    """Delete what is older than the settings keep it; reports keep all figures.

    That is: who got broadcasts that ended long ago, IP addresses and user agents of readers, the
    old end of the audit trail, and who asked for a list and never confirmed. All but the first a
    running system does by itself, once a day.

    Safe to stop and to run again, also while mail is being sent.
    """
    runtime = state.runtime()
    days = older_than or runtime.settings.retention.deliveries_days
    kept = runtime.settings.retention
    with runtime.sessions.reading() as session:
        found = retention.prunable(session, now() - timedelta(days=days))
        old = upkeep.find_old(session, kept)
        unconfirmed = count_unconfirmed(session, runtime.settings)
    rows = sum(one.deliveries + one.events for one in found)
    if not dry_run:
        with output.progress("pruning", rows + old.total) as bar:
            advance = partial(bar.advance, bar.task_ids[0])
            retention.prune(runtime.sessions, found, advance)
            old = upkeep.retain(runtime.sessions, kept, advance)
        unconfirmed = forget_unconfirmed(runtime.sessions, runtime.settings)
    _say_broadcasts(found, days, dry_run=dry_run)
    _say_the_rest(old, unconfirmed, kept, dry_run=dry_run)


@app.command()
def compact(*, dry_run: output.DryRun = False) -> None:
    """Write the SQLite file anew without what was deleted or erased: its free space is gone.

    Nobody else writes meanwhile; it needs as much room again as the database has.
    """
    sessions = state.runtime().sessions
    if sessions.dialect != "sqlite":
        output.say("PostgreSQL reuses the space of deleted rows by itself (autovacuum).")
        return
    before = compaction.size_bytes(sessions)
    if dry_run:
        output.say(f"Would write the database anew; it has {before:,} bytes.")
        return
    compaction.compact(sessions)
    output.say(f"The database has {compaction.size_bytes(sessions):,} bytes, before {before:,}.")


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


def _say_broadcasts(found: Sequence[retention.Prunable], days: int, *, dry_run: bool) -> None:
    output.say(
        f"{'Would prune' if dry_run else 'Pruned'} {len(found)} broadcasts that ended more than "
        f"{days} days ago: {sum(one.deliveries for one in found)} deliveries, "
        f"{sum(one.events for one in found)} events. Their figures stay."
    )


def _say_the_rest(
    old: upkeep.Old, unconfirmed: int, kept: RetentionSettings, *, dry_run: bool
) -> None:
    output.say(
        f"{'Would empty' if dry_run else 'Emptied'} the IP addresses and user agents of "
        f"{old.events} events and {old.consent_events} lines of consent older than "
        f"{kept.evidence_days} days, and {'would cut' if dry_run else 'cut'} {old.audit_events} "
        f"lines of the audit trail older than {kept.audit_days} days."
    )
    output.say(
        f"{'Would forget' if dry_run else 'Forgot'} {unconfirmed} requests that nobody confirmed "
        f"within {kept.unconfirmed_days} days, and {old.import_lines} bad rows of imports older "
        f"than {kept.imports_days} days."
    )
