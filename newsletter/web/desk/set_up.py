"""`/set-up`: the first run, in the browser. There is no such page once there is a user.

A stranger on the network must not be faster than who runs the machine: whoever does not come from
the machine itself is asked for a code that `serve` prints.
"""

from collections.abc import Mapping
from ipaddress import ip_address

from fastapi import Request, Response
from sqlalchemy import exists, select

from newsletter.accounts import audit, first_run, passwords, time_zones, users
from newsletter.core.errors import InputError
from newsletter.core.runtime import Runtime
from newsletter.issues import identity
from newsletter.issues.models import Newsletter
from newsletter.mail.address import Address
from newsletter.tracking.recording import Visit
from newsletter.web.deps import Running, Visiting
from newsletter.web.desk import cookies
from newsletter.web.desk.forms import Form, Sent
from newsletter.web.desk.guard import desk_router, for_strangers
from newsletter.web.desk.login import let_in
from newsletter.web.desk.pages import go, page
from newsletter.web.desk.problems import capitalised
from newsletter.web.desk.settings.relays import Tried, tried_out
from newsletter.web.desk.text import _

router = desk_router()

_OF_NEWSLETTER = ("name", "sender_address", "postal_address")
_LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1"}
_OF_PROXIES = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


@router.get("/set-up")
@for_strangers
def begin(request: Request, runtime: Running, visit: Visiting) -> Response:
    """The form, or the question for the code."""
    elsewhere = _elsewhere(request, runtime)
    if elsewhere is not None:
        return elsewhere
    if not _is_from_here(request, runtime, visit):
        return page(request, "set_up/code.html", problem="")
    return _form(request, runtime, _defaults(runtime))


@router.post("/set-up/code")
@for_strangers
def with_code(request: Request, runtime: Running, visit: Visiting, sent: Sent) -> Response:
    """The form, for whoever knows the code."""
    turned_away = _elsewhere(request, runtime) or _without_code(request, runtime, visit, sent)
    if turned_away is not None:
        return turned_away
    return _form(request, runtime, {**_defaults(runtime), "code": sent.one("code")})


@router.post("/set-up/relay")
@for_strangers
def try_relay(request: Request, runtime: Running, visit: Visiting, sent: Sent) -> Response:
    """Whether the relays that are set let us in."""
    turned_away = _elsewhere(request, runtime) or _without_code(request, runtime, visit, sent)
    if turned_away is not None:
        return turned_away
    tried = {relay.name: tried_out(runtime, relay.name) for relay in runtime.settings.relays}
    typed = {**_defaults(runtime), "code": sent.one("code")}
    return _form(request, runtime, typed, tried=tried)


@router.post("/set-up")
@for_strangers
def finish(request: Request, runtime: Running, visit: Visiting, sent: Sent) -> Response:
    """Make the first admin and the newsletter, in one transaction, and log the admin in."""
    turned_away = _elsewhere(request, runtime) or _without_code(request, runtime, visit, sent)
    if turned_away is not None:
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


def _elsewhere(request: Request, runtime: Runtime) -> Response | None:
    """Where there is nothing to set up, or no safe way to do it."""
    with runtime.sessions.reading() as session:
        if users.anybody(session):
            return go(request, "/login")
    if not cookies.is_safe(request, runtime):
        return page(request, "login/not_safe.html", status=403)
    return None


def _without_code(request: Request, runtime: Runtime, visit: Visit, sent: Form) -> Response | None:
    """The question for the code, unless it was answered or need not be."""
    if _is_from_here(request, runtime, visit):
        return None
    if first_run.is_set_up_code(runtime.keys, sent.one("code")):
        return None
    problem = _("That is not the code.")
    return page(request, "set_up/code.html", status=403, problem=problem)


def _is_from_here(request: Request, runtime: Runtime, visit: Visit) -> bool:
    """The browser runs on this machine; what a proxy may have passed on does not count."""
    try:
        is_loopback = ip_address(visit.ip).is_loopback
    except ValueError:
        return False
    base_url = runtime.settings.site.base_url
    names = {request.url.hostname, base_url.host if base_url else "127.0.0.1"}
    is_direct = not any(name in request.headers for name in _OF_PROXIES)
    return is_loopback and is_direct and names <= _LOOPBACK_NAMES


def _has_newsletter(runtime: Runtime) -> bool:
    with runtime.sessions.reading() as session:
        return bool(session.scalar(select(exists().where(Newsletter.id > 0))))


def _defaults(runtime: Runtime) -> dict[str, str]:
    sender = runtime.settings.sender
    return {
        "code": "",
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
