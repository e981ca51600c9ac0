"""One's own data: to take along, or to have erased. The owner's link alone opens this."""

import json

from fastapi import APIRouter, HTTPException, Request, Response

from newsletter.mail.address import Address
from newsletter.privacy import erasure, person
from newsletter.tracking.leaving import masked
from newsletter.web.deps import Running
from newsletter.web.pages import render
from newsletter.web.public.visitors import owner
from subscribers.erased import fits
from subscribers.imports.runs import waiting_files
from subscribers.sign_up_counts import forget_letters

router = APIRouter()

_THEMSELVES = "subscriber"


@router.api_route("/p/{token}/data", methods=["GET", "HEAD"])
def download(token: str, runtime: Running) -> Response:
    """Everything that is kept about the person, as a file."""
    with runtime.sessions.reading() as session:
        found = owner(token, runtime, session)
        data = person.export(session, found.person.id)
    return Response(
        json.dumps(data, ensure_ascii=False, indent=2, default=str),
        media_type="application/json",
        headers={
            "Content-Disposition": 'attachment; filename="my-data.json"',
            "Cache-Control": "no-store, private",
        },
    )


@router.api_route("/p/{token}/erase", methods=["GET", "HEAD"])
def ask(token: str, request: Request, runtime: Running) -> Response:
    """What erasing means, and one button."""
    with runtime.sessions.reading() as session:
        found = owner(token, runtime, session)
        can_erase = runtime.erasure_key is not None and fits(session, runtime.erasure_key)
        return render(
            request,
            "erase.html",
            locale=found.person.locale,
            visitor=found,
            can_erase=can_erase,
        )


@router.post("/p/{token}/erase")
def erase(token: str, request: Request, runtime: Running) -> Response:
    """Forget them, at once and for good."""
    if runtime.erasure_key is None:
        raise HTTPException(404)
    with runtime.sessions.reading() as session:
        known = owner(token, runtime, session).person
        address = Address.stored(known.email, known.address_key)
    searched = waiting_files.search(runtime.sessions, address)
    with runtime.sessions.writing() as session:
        found = owner(token, runtime, session)
        if not fits(session, runtime.erasure_key):
            raise HTTPException(404)
        shown, address_key = masked(found.person.email), found.person.address_key
        locale = found.person.locale
        erasure.erase(session, found.person.id, runtime.erasure_key, _THEMSELVES, searched)
        # They may come back by signing up. Behind their row, as whoever counts takes it.
        forget_letters(session, runtime.keys, address_key)
    return render(request, "erased.html", locale=locale, shown_address=shown)
