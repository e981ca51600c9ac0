"""`/subscribers/new`: one person, by what they said to somebody here, or by asking them."""

from dataclasses import dataclass

from fastapi import Request, Response
from sqlalchemy.orm import Session

from newsletter.accounts import audit
from newsletter.accounts.permissions import Permission
from newsletter.core.errors import InputError, NewsletterError
from newsletter.core.runtime import Runtime
from newsletter.core.sentences import say
from newsletter.mail.address import Address, AddressError
from newsletter.sending.confirmation import ask_to_confirm
from newsletter.web.deps import Running
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.forms import Form, Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import go, page
from newsletter.web.desk.people.apart import told_to
from newsletter.web.desk.people.asked import here
from newsletter.web.desk.problems import capitalised
from newsletter.web.desk.text import _
from newsletter.web.pages import language_of
from subscribers import by_hand, lists
from subscribers.evidence import Evidence
from subscribers.models import SubscriberList

router = desk_router()


@dataclass(frozen=True, slots=True)
class _Typed:
    """The form as it was filled in."""

    address: str = ""
    name: str = ""
    list_id: str = ""
    way: str = "ask"
    statement: str = ""

    @classmethod
    def of(cls, sent: Form) -> "_Typed":
        return cls(*(sent.one(name) for name in ("address", "name", "list", "way", "statement")))


@router.get("/subscribers/new")
@needs(Permission.PEOPLE)
def new(request: Request, runtime: Running, editor: Seated) -> Response:
    """The form."""
    if editor.newsletter_id is None:
        return page(request, "people/no_newsletter.html")
    return _form(request, runtime, editor, _Typed(list_id=request.query_params.get("list", "")), {})


@router.post("/subscribers/new")
@needs(Permission.PEOPLE)
def add(request: Request, runtime: Running, editor: Seated, sent: Sent) -> Response:
    """Nobody who left, is suppressed or asked to be forgotten comes back by this."""
    typed = _Typed.of(sent)
    try:
        with runtime.sessions.writing() as session:
            person_id, said = _add(session, runtime, editor, typed, language_of(request))
    except NewsletterError as error:
        return _form(request, runtime, editor, typed, _problem(error))
    return go(request, f"/subscribers/{person_id}", said=said)


def _add(
    session: Session, runtime: Runtime, editor: Editor, typed: _Typed, language: str
) -> tuple[int, str]:
    address = Address.parse(typed.address, place="address")
    to = _chosen(session, editor, typed)
    # First, so that of two who press the button at once the second finds what the first did.
    person = by_hand.known(session, address, typed.name, by=told_to(editor))
    by_hand.may_join(session, address, to, runtime.erasure_key)
    if typed.way == "ask":
        evidence = Evidence(by_hand.METHOD, wording="Asked to confirm by mail.")
        mailed = ask_to_confirm(session, runtime, person, to, evidence, language)
        said = (
            _("A mail with a link is on its way to %(who)s.", who=address.typed)
            if mailed
            else _(
                "%(who)s has to confirm still; no mail goes out now, as this mailbox "
                "had enough of them.",
                who=address.typed,
            )
        )
    else:
        by_hand.put_on(session, person, to, typed.statement)
        said = _("%(who)s is on %(list)s now.", who=address.typed, list=to.name)
    audit.record(
        session,
        editor.actor,
        "subscriber.added",
        person.id,
        newsletter=editor.newsletter_slug,
        list=to.slug,
        asked=typed.way == "ask",
    )
    return person.id, said


def _chosen(session: Session, editor: Editor, typed: _Typed) -> SubscriberList:
    """A list of the newsletter concerned; another's number is no list."""
    for found in lists.of_newsletter(session, here(editor)):
        if str(found.id) == typed.list_id:
            return found
    raise InputError("list", say("choose one of the lists"))


def _problem(error: NewsletterError) -> dict[str, str]:
    """By field; what stands against the address stands beside it."""
    if isinstance(error, AddressError):
        return {"address": _("Type an address such as ada@example.org.")}
    if isinstance(error, InputError):
        return {error.place: capitalised(error.problem)}
    return {"address": capitalised(error.sentence)}


def _form(
    request: Request, runtime: Runtime, editor: Editor, typed: _Typed, problems: dict[str, str]
) -> Response:
    with runtime.sessions.reading() as session:
        ours = lists.of_newsletter(session, here(editor))
    options = [(each.id, each.name) for each in ours]
    return page(
        request,
        "people/new.html",
        status=422 if problems else 200,
        typed=typed,
        lists=ours,
        options=options if len(ours) == 1 else [("", _("Choose a list")), *options],
        problems=problems,
    )
