"""`newsletter segments`: saved filters over lists, and trying one out."""

from typing import Annotated, Any

import typer
from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from newsletter.cli import output, state
from newsletter.jobs.bell import attach_bell
from subscribers import segments
from subscribers.filters.language import parse
from subscribers.filters.writing import to_json, written
from subscribers.lists import find_list
from subscribers.models import Segment, SubscriberList

app = typer.Typer(
    help="Filters over a list, such as 'status = active and tag = \"vip\"'.", no_args_is_help=True
)

ListName = Annotated[str, typer.Option("--list", metavar="LIST", help="The list.")]
Name = Annotated[str, typer.Argument(metavar="SEGMENT", help="Its name.")]
NameOrFilter = Annotated[
    str, typer.Argument(metavar="NAME_OR_FILTER", help="A saved segment's name, or a filter.")
]
SegmentName = Annotated[
    str | None,
    typer.Option(
        "--segment",
        metavar="NAME_OR_FILTER",
        help="Only those inside: a saved segment, or a filter.",
    ),
]


@app.command()
def create(
    name: Name,
    text: Annotated[
        str, typer.Argument(metavar="FILTER", help="Such as 'attributes.plan = \"pro\"'.")
    ],
    *,
    list_name: ListName,
    dry_run: output.DryRun = False,
) -> None:
    """Save a filter for a list."""
    runtime = state.runtime()
    attach_bell(runtime)
    with runtime.sessions.writing(rehearse=dry_run) as session:
        saved = segments.save(session, find_list(session, list_name), name, text)
    output.say(f"{'Would save' if dry_run else 'Saved'} segment {saved.slug!r}: {saved.text}")


@app.command("list")
def list_(
    *,
    list_name: Annotated[
        str | None, typer.Option("--list", metavar="LIST", help="Only those of this list.")
    ] = None,
    as_json: output.AsJson = False,
) -> None:
    """All saved segments."""
    with state.runtime().sessions.reading() as session:
        only = find_list(session, list_name) if list_name is not None else None
        rows = [_shown(session, found) for found in segments.list_segments(session, only)]
    empty = "No segment yet: `newsletter segments create NAME FILTER --list LIST`."
    output.print_table(rows, as_json=as_json, empty=empty)


@app.command()
def show(name: Name, *, list_name: ListName, as_json: output.AsJson = False) -> None:
    """One saved segment: its filter, and in JSON the filter as a tree."""
    with state.runtime().sessions.reading() as session:
        found = segments.find(session, find_list(session, list_name), name)
        details = _shown(session, found)
    if as_json:
        output.print_json({**details, "tree": to_json(parse(found.text))})
        return
    for key, value in details.items():
        output.say(f"{key:8} {value}")


@app.command()
def count(which: NameOrFilter, *, list_name: ListName, as_json: output.AsJson = False) -> None:
    """How many people of the list are inside, by status."""
    with state.runtime().sessions.reading() as session:
        on = find_list(session, list_name)
        tree = segments.read(session, [on], which)
        found = segments.count(session, on, tree)
    by_status = {status.value: n for status, n in sorted(found.statuses.items())}
    if as_json:
        output.print_json(
            {"list": on.slug, "filter": written(tree), "people": found.people, **by_status}
        )
        return
    said = ", ".join(f"{n:,} {status}" for status, n in by_status.items())
    output.say(f"{found.people:,} of {on.slug!r} inside" + (f": {said}" if said else ""))


@app.command()
def sample(
    which: NameOrFilter,
    *,
    list_name: ListName,
    most: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many.")] = 10,
    as_json: output.AsJson = False,
) -> None:
    """A few of the people inside, the newest first."""
    with state.runtime().sessions.reading() as session:
        on = find_list(session, list_name)
        tree = segments.read(session, [on], which)
        rows = [
            {"email": person.email, "name": person.name, "status": subscription.status.value}
            for person, subscription in segments.sample(session, on, tree, most)
        ]
    output.print_table(rows, as_json=as_json, empty=f"Nobody of {on.slug!r}.")


@app.command()
def delete(name: Name, *, list_name: ListName, dry_run: output.DryRun = False) -> None:
    """Forget a saved segment. Broadcasts that were planned with it keep their filter."""
    runtime = state.runtime()
    attach_bell(runtime)
    with runtime.sessions.writing(rehearse=dry_run) as session:
        found = segments.find(session, find_list(session, list_name), name)
        segments.forget(session, found)
    output.say(f"{'Would delete' if dry_run else 'Deleted'} segment {found.slug!r}: {found.text}")


def inside_segment(
    session: Session, on: SubscriberList, which: str | None
) -> ColumnElement[bool] | None:
    """What `--segment` means for the people of one list; None without it."""
    if which is None:
        return None
    return segments.condition(session, segments.read(session, [on], which), on.newsletter_id)


def _shown(session: Session, found: Segment) -> dict[str, Any]:
    on = session.get_one(SubscriberList, found.list_id)
    return {
        "segment": found.slug,
        "name": found.name,
        "list": on.slug,
        "filter": found.text,
        "since": found.created_at,
    }
