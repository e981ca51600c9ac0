"""`/invitation/…`: whoever has the link chooses a password. Looking at the page changes nothing."""

from fastapi import Request, Response

from newsletter.accounts import audit, invitations, logins, passwords, time_zones
from newsletter.accounts.models import Invitation
from newsletter.core.errors import InputError, RefusedError
from newsletter.core.runtime import Runtime
from newsletter.web.deps import Running
from newsletter.web.desk import cookies
from newsletter.web.desk.forms import Sent
from newsletter.web.desk.guard import desk_router, for_strangers
from newsletter.web.desk.pages import go, page
from newsletter.web.desk.problems import capitalised
from newsletter.web.desk.text import _

router = desk_router()

_PATH = "/invitation/{token}"


@router.get(_PATH)
@for_strangers
def ask(request: Request, runtime: Running, token: str) -> Response:
    """The form, or that the link has ended."""
    if not cookies.is_safe(request, runtime):
        return page(request, "login/not_safe.html", status=403)
    found = _found(runtime, token)
    return _ended(request) if found is None else _form(request, token, found)


@router.post(_PATH)
@for_strangers
def take(request: Request, runtime: Running, token: str, sent: Sent) -> Response:
    """The password is theirs; they log in with it, so a second factor is asked for too."""
    if not cookies.is_safe(request, runtime):
        return page(request, "login/not_safe.html", status=403)
    found = _found(runtime, token)
    if found is None:
        return _ended(request)
    name, zone, password = sent.one("name"), sent.one("time_zone"), sent.text("password")
    typed = {"name": name, "time_zone": zone}
    try:
        passwords.check(password, found.email)
        password_hash = passwords.hashed(password)
        with runtime.sessions.writing() as session:
            user = invitations.take(session, token, password_hash, name)
            if found.user_id is None:
                user.time_zone = time_zones.known(zone)
            logins.forget_failures(session, runtime.keys, user)
            action = "user.joined" if found.user_id is None else "user.password_changed"
            audit.record(session, audit.actor_of(user), action, user=user.id)
    except InputError as error:
        return _form(request, token, found, typed, {error.place: capitalised(error.problem)})
    except invitations.EndedLinkError:
        return _ended(request)
    except RefusedError as error:
        return _form(request, token, found, typed, {"": capitalised(error.sentence)})
    response = go(request, "/login", said=_("Your password is set. Please log in with it."))
    cookies.take_away(request, response, cookies.SEAT)
    return response


def _found(runtime: Runtime, token: str) -> Invitation | None:
    with runtime.sessions.reading() as session:
        return invitations.find(session, token)


def _ended(request: Request) -> Response:
    return page(request, "invitation/ended.html", status=410)


def _form(
    request: Request,
    token: str,
    found: Invitation,
    typed: dict[str, str] | None = None,
    problems: dict[str, str] | None = None,
) -> Response:
    return page(
        request,
        "invitation/invitation.html",
        status=422 if problems else 200,
        token=token,
        email=found.email,
        is_new=found.user_id is None,
        typed=typed or {"name": "", "time_zone": ""},
        zones=time_zones.choices(),
        problems=problems or {},
        fewest=passwords.FEWEST_CHARACTERS,
    )
