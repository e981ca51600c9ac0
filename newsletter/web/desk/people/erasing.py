"""`/subscribers/…/erase`: forget somebody, on a page of its own that says what that means."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import HTTPException, Request, Response
from sqlalchemy.orm import Session

from newsletter.accounts.permissions import Permission
from newsletter.core.errors import ConfigurationError, RefusedError
from newsletter.core.runtime import Runtime
from newsletter.core.sentences import say
from newsletter.mail.address import Address
from newsletter.privacy import erasure
from newsletter.privacy.mentions import Mention, find_mentions
from newsletter.privacy.traces import Traces, find_traces
from newsletter.web.deps import Running
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.forms import Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import go, page
from newsletter.web.desk.people.asked import here
from newsletter.web.desk.problems import capitalised
from newsletter.web.desk.text import _
from subscribers import elsewhere
from subscribers.imports.runs import waiting_files
from subscribers.models import Subscriber
from subscribers.sign_up_counts import forget_letters

router = desk_router()


@dataclass(frozen=True, slots=True)
class _Before:
    """What the page says before anything happens.

    Attributes:
        traces: what goes; None for who may not erase this person.
        mentions: what stays in filters, of the newsletters that the editor may see.
        obstacle: why it cannot be done here and now; empty: it can.
    """

    person: Subscriber
    traces: Traces | None
    obstacle: str
    mentions: Sequence[Mention] = ()


@router.get("/subscribers/{subscriber_id}/erase")
@needs(Permission.PEOPLE)
def ask(subscriber_id: int, request: Request, runtime: Running, editor: Seated) -> Response:
    """What goes, and that it cannot be undone."""
    with runtime.sessions.reading() as session:
        before = _before(session, runtime, editor, subscriber_id)
    return page(request, "people/erase.html", before=before, problem="", typed="")


@router.post("/subscribers/{subscriber_id}/erase")
@needs(Permission.PEOPLE)
def erase(
    subscriber_id: int, request: Request, runtime: Running, editor: Seated, sent: Sent
) -> Response:
    """Forget them, once their address was typed."""
    typed = sent.one("confirmation")
    with runtime.sessions.reading() as session:
        before = _before(session, runtime, editor, subscriber_id)
    problem = _problem(before, typed)
    if not problem:
        problem = _erase(runtime, editor, before.person)
    if problem:
        return page(
            request, "people/erase.html", status=422, before=before, problem=problem, typed=typed
        )
    return go(
        request,
        "/subscribers",
        said=_("Erased. Backups and files made before still hold them: see the docs on privacy."),
    )


def _erase(runtime: Runtime, editor: Editor, person: Subscriber) -> str:
    """A sentence when it is not the time.

    Raises:
        NotFoundError: somebody else has just erased them.
    """
    key = erasure.erasure_key(runtime)
    address = Address.stored(person.email, person.address_key)
    searched = waiting_files.search(runtime.sessions, address)
    try:
        with runtime.sessions.writing() as session:
            _check_still(session, editor, person)
            erasure.erase(session, person.id, key, editor.actor, searched)
            # They may come back by signing up. Behind their row, as whoever counts takes it.
            forget_letters(session, runtime.keys, person.address_key)
    except RefusedError as error:
        return capitalised(error.sentence)
    return ""


def _check_still(session: Session, editor: Editor, person: Subscriber) -> None:
    """Nobody has put them on another newsletter's list since the page was read."""
    if _is_anothers(session, editor, person):
        raise RefusedError(say("this person has come to another newsletter's list meanwhile"))


def _is_anothers(session: Session, editor: Editor, person: Subscriber) -> bool:
    return not editor.may(Permission.INSTALLATION) and elsewhere.is_elsewhere(
        session, person.id, here(editor)
    )


def _problem(before: _Before, typed: str) -> str:
    if before.obstacle:
        return before.obstacle
    if typed.casefold() not in {before.person.email.casefold(), before.person.address_key}:
        return _("Type the address as it stands above.")
    return ""


def _before(session: Session, runtime: Runtime, editor: Editor, subscriber_id: int) -> _Before:
    person = session.get(Subscriber, subscriber_id)
    if person is None:
        raise HTTPException(404)
    if _is_anothers(session, editor, person):
        # That much has to be said: erasing would take them from others' lists too.
        return _Before(
            person, None, _("Only somebody who administers all newsletters can erase this person.")
        )
    address = Address.stored(person.email, person.address_key)
    traces = find_traces(session, address)
    where = None if editor.may(Permission.INSTALLATION) else here(editor)
    mentions = find_mentions(session, address, person.name, where)
    try:
        erasure.erasure_key(runtime)
    except ConfigurationError as error:
        return _Before(person, traces, capitalised(error.sentence))
    return _Before(person, traces, "", mentions)
