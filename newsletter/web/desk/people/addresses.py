"""`/subscribers/export-address`: what is kept about an address, whoever is subscribed by it."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from fastapi import HTTPException, Response
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
from subscribers import subscriptions
from subscribers.models import Subscriber

router = desk_router()


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


def is_kept(session: Session, editor: Editor, part: str, found: Collection[Subscriber]) -> bool:
    """What was searched for is a whole address of which something is kept, and they may see it.

    Of those who were found it may be a part of theirs; whoever has it has a page.
    """
    if not editor.may(Permission.INSTALLATION):
        return False
    try:
        address = Address.parse(part)
    except AddressError:
        return False
    has_page = any(person.address_key == address.key for person in found)
    return not has_page and find_traces(session, address).any
