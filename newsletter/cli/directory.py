"""`newsletter subscribers list`: everybody, page by page."""

from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from newsletter.cli import output, state
from newsletter.cli.segments import SegmentName, inside_segment
from newsletter.core.errors import InputError
from newsletter.core.sentences import say
from subscribers import directory
from subscribers.directory import Search
from subscribers.lists import find_list
from subscribers.models import Subscriber, SubscriptionStatus


def list_(
    *,
    list_name: Annotated[
        str | None, typer.Option("--list", metavar="LIST", help="Only those on it.")
    ] = None,
    status: Annotated[
        SubscriptionStatus | None, typer.Option(help="Only with a subscription of this status.")
    ] = None,
    segment: SegmentName = None,
    part: Annotated[
        str, typer.Option("--search", metavar="TEXT", help="A part of the address or name.")
    ] = "",
    after: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="Go on behind the person with this number.")
    ] = 0,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 50,
    as_json: output.AsJson = False,
) -> None:
    """The people, those who came first before others, a page at a time."""
    with state.runtime().sessions.reading() as session:
        search = _search(session, list_name, status, segment, part)
        found = directory.page(session, search, after=after, limit=limit)
    rows = [_shown(person) for person in found.people]
    if as_json:
        output.print_json({"people": rows, "next_after": found.next_after})
        return
    output.print_table(rows, empty="Nobody.")
    if found.next_after is not None:
        output.say(f"More: --after {found.next_after}")


def _search(
    session: Session,
    list_name: str | None,
    status: SubscriptionStatus | None,
    segment: str | None,
    part: str,
) -> Search:
    chosen = find_list(session, list_name) if list_name is not None else None
    if chosen is None and segment is not None:
        raise InputError(
            "--segment", say("expected --list with it: a segment is a filter over a list")
        )
    inside = inside_segment(session, chosen, segment) if chosen else None
    return Search(chosen.id if chosen else None, status, inside, part)


def _shown(person: Subscriber) -> dict[str, Any]:
    return {
        "id": person.id,
        "email": person.email,
        "name": person.name,
        "locale": person.locale,
        "since": person.created_at,
    }
