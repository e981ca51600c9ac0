"""`/subscribers/export-address`: what is kept about an address, whoever is subscribed by it."""

import json
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

from fastapi import HTTPException, Request, Response
from sqlalchemy.orm import Session

from newsletter.accounts import audit
from newsletter.accounts.permissions import Permission
from newsletter.mail.address import Address, AddressError
from newsletter.privacy import person as personal_data
from newsletter.privacy.traces import find_traces
from newsletter.web.deps import Running
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.forms import Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import part
from newsletter.web.desk.people.asked import asked
from subscribers import subscriptions
from subscribers.models import Subscriber

router = desk_router()


class Kept(StrEnum):
    """What the page of a search says about the address itself."""

    UNSAID = ""
    """It is none, or they may not know."""
    TO_ASK = "to ask"
    """By a request of its own: the outbox has to be read for it."""
    SOMETHING = "something"
    NOTHING = "nothing"


@router.get("/subscribers/kept")
@needs(Permission.INSTALLATION)
def kept(request: Request, runtime: Running) -> Response:
    """Whether anything is: a part of the page that searched, since it may take longer."""
    wanted = asked(request)
    with runtime.sessions.reading() as session:
        said = _kept(session, _whole(wanted.part))
    return part(request, "people/kept.html", asked=wanted, kept=said)


@router.post("/subscribers/export-address")
@needs(Permission.INSTALLATION)
def export(runtime: Running, editor: Seated, sent: Sent) -> Response:
    """All of it, of every newsletter, as JSON: somebody was asked who has no page to look at."""
    address = Address.parse(sent.one("address"), place="address")
    with runtime.sessions.writing() as session:
        found = subscriptions.find_subscriber(session, address)
        if found is None and not find_traces(session, address).any:
            raise HTTPException(404)
        number = found.id if found else None
        audit.record(session, editor.actor, "subscriber.exported", number)
        session.flush()
        document = (
            personal_data.export(session, found.id)
            if found
            else personal_data.export_address(session, address)
        )
    return as_file(document, "address.json")


def as_file(document: Mapping[str, Any], name: str) -> Response:
    """A person's data to hand over; nothing on the way keeps a copy."""
    return Response(
        json.dumps(document, ensure_ascii=False, indent=2) + "\n",
        media_type="application/json",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store, private",
        },
    )


def said_of(
    session: Session, editor: Editor, typed: str, found: Collection[Subscriber], *, is_asked: bool
) -> Kept:
    """Beside those found, if what was searched for is a whole address, and of none of them.

    It may be a part of somebody's; whoever has it has a page.
    """
    address = _whole(typed) if editor.may(Permission.INSTALLATION) else None
    if address is None or any(person.address_key == address.key for person in found):
        return Kept.UNSAID
    return _kept(session, address) if is_asked else Kept.TO_ASK


def _kept(session: Session, address: Address | None) -> Kept:
    is_any = address is not None and find_traces(session, address).any
    return Kept.SOMETHING if is_any else Kept.NOTHING


def _whole(typed: str) -> Address | None:
    try:
        return Address.parse(typed)
    except AddressError:
        return None
