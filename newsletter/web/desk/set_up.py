"""`/set-up`: the first run, in the browser. There is no such page once there is a user.

A stranger on the network must not be faster than who runs the machine: everybody is asked for a
code that `serve` prints. Where a browser runs nobody can tell for sure, as a proxy on this machine
need not say for whom it asks; the link that `serve` prints has the code in it.
"""

from collections.abc import Mapping

from fastapi import Request, Response
from sqlalchemy import exists, select

from newsletter.accounts import audit, first_run, passwords, time_zones, users
from newsletter.core.errors import InputError
from newsletter.core.runtime import Runtime
from newsletter.issues import identity
from newsletter.issues.models import Newsletter
from newsletter.mail.address import Address
from newsletter.web.deps import Running
from newsletter.web.desk import cookies
from newsletter.web.desk.forms import Sent
from newsletter.web.desk.guard import desk_router, for_strangers
from newsletter.web.desk.login import let_in
from newsletter.web.desk.pages import go, page
from newsletter.web.desk.problems import capitalised
from newsletter.web.desk.settings.relays import Tried, tried_out
from newsletter.web.desk.text import _

router = desk_router()

_OF_NEWSLETTER = ("name", "sender_address", "postal_address")


@router.get("/set-up")
@for_strangers
def begin(request: Request, runtime: Running, code: str = "") -> Response:
    """The question for the code; behind a link that has it, the form."""
    if not code:
        return _elsewhere(request, runtime) or page(request, "set_up/code.html", problem="")
    return _turned_away(request, runtime, code) or _form(request, runtime, _defaults(runtime, code))


@router.post("/set-up/code")
@for_strangers
def with_code(request: Request, runtime: Running, sent: Sent) -> Response:
    """The form, for whoever knows the code."""
    code = sent.one("code")
    return _turned_away(request, runtime, code) or _form(request, runtime, _defaults(runtime, code))


@router.post("/set-up/relay")
@for_strangers
def try_relay(request: Request, runtime: Running, sent: Sent) -> Response:
    """Whether the relays that are set let us in."""
    if turned_away := _turned_away(request, runtime, sent.one("code")):
        return turned_away
    tried = {relay.name: tried_out(runtime, relay.name) for relay in runtime.settings.relays}
    return _form(request, runtime, _defaults(runtime, sent.one("code")), tried=tried)


@router.post("/set-up")
@for_strangers
def finish(request: Request, runtime: Running, sent: Sent) -> Response:
    """Make the first admin and the newsletter, in one transaction, and log the admin in."""
    if turned_away := _turned_away(request, runtime, sent.one("code")):
        return turned_away
    typed = {name: sent.one(name) for name in ("code", "email", "time_zone", *_OF_NEWSLETTER)}
    wants_newsletter = not _has_newsletter(runtime)
    problems = _problems(typed, sent.text("password"), wants_newsletter=wants_newsletter)
    if problems:
        return _form(request, runtime, typed, problems)
    password_hash = passwords.hashed(sent.text("password"))
    try:
        with runtime.sessions.writing() as session:
            to = Address.parse(typed["email"])
            user = first_run.add_first_admin(session, to, password_hash)
            user.time_zone = time_zones.known(typed["time_zone"])
            audit.record(session, audit.actor_of(user), "user.added", user=user.id)
            if wants_newsletter:
                about = {name: typed[name] for name in _OF_NEWSLETTER}
                identity.create(session, about, runtime.settings)
    except first_run.SomebodyIsHereError:
        return go(request, "/login", said=_("Somebody has set this up just now. Please log in."))
    except InputError as error:
        return _form(request, runtime, typed, {error.place: capitalised(error.problem)})
    return let_in(request, runtime, user)


def _turned_away(request: Request, runtime: Runtime, code: str) -> Response | None:
    """Who comes too late or by an unsafe way, and who does not know the code."""
    return _elsewhere(request, runtime) or _asked_again(request, runtime, code)


def _elsewhere(request: Request, runtime: Runtime) -> Response | None:
    """Where there is nothing to set up, or no safe way to do it."""
    with runtime.sessions.reading() as session:
        if users.anybody(session):
            return go(request, "/login")
    if not cookies.is_safe(request, runtime):
        return page(request, "login/not_safe.html", status=403)
    return None


def _asked_again(request: Request, runtime: Runtime, code: str) -> Response | None:
    """The question for the code, unless this is it."""
    if first_run.is_set_up_code(runtime.keys, code):
        return None
    problem = _("That is not the code.")
    return page(request, "set_up/code.html", status=403, problem=problem)


def _has_newsletter(runtime: Runtime) -> bool:
    with runtime.sessions.reading() as session:
        return bool(session.scalar(select(exists().where(Newsletter.id > 0))))


def _defaults(runtime: Runtime, code: str) -> dict[str, str]:
    sender = runtime.settings.sender
    return {
        "code": code,
        "email": "",
        "time_zone": "",
        "name": sender.name,
        "sender_address": sender.address,
        "postal_address": sender.postal_address,
    }


def _problems(typed: Mapping[str, str], password: str, *, wants_newsletter: bool) -> dict[str, str]:
    """By field, all at once."""
    problems: dict[str, str] = {}
    try:
        Address.parse(typed["email"], place="email")
    except InputError as error:
        problems["email"] = capitalised(error.problem)
    try:
        passwords.check(password, typed["email"])
    except InputError as error:
        problems["password"] = capitalised(error.problem)
    if wants_newsletter:
        wrong = identity.problems({name: typed[name] for name in _OF_NEWSLETTER})
        problems |= {name: capitalised(problem) for name, problem in wrong.items()}
        for name in ("sender_address", "postal_address"):
            if not typed[name]:
                problems[name] = _("Every mail needs one.")
    return problems


def _form(
    request: Request,
    runtime: Runtime,
    typed: Mapping[str, str],
    problems: Mapping[str, str] | None = None,
    tried: Mapping[str, Tried] | None = None,
) -> Response:
    return page(
        request,
        "set_up/set_up.html",
        status=422 if problems else 200,
        typed=typed,
        problems=problems or {},
        tried=tried or {},
        relays=[relay.name for relay in runtime.settings.relays],
        wants_newsletter=not _has_newsletter(runtime),
        zones=time_zones.choices(),
        fewest=passwords.FEWEST_CHARACTERS,
    )
