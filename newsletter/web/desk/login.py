"""Logging in and out."""

from fastapi import Request, Response

from newsletter.accounts import audit, logins, seats, second_factor, users
from newsletter.accounts.models import User
from newsletter.accounts.permissions import Permission
from newsletter.core.errors import RefusedError
from newsletter.core.runtime import Runtime
from newsletter.web.deps import Running, Visiting
from newsletter.web.desk import cookies
from newsletter.web.desk.forms import Sent
from newsletter.web.desk.guard import Seated, desk_router, for_strangers, needs
from newsletter.web.desk.pages import go, page
from newsletter.web.desk.problems import capitalised
from newsletter.web.desk.text import _

router = desk_router()


@router.get("/login")
@for_strangers
def ask(request: Request, runtime: Running, next: str = "/") -> Response:  # noqa: A002 - as in the URL
    """The form; before there is anybody, the first run."""
    if not cookies.is_safe(request, runtime):
        return page(request, "login/not_safe.html", status=403)
    with runtime.sessions.reading() as session:
        if not users.anybody(session):
            return go(request, "/set-up")
    return _form(request, next)


@router.post("/login")
@for_strangers
def log_in(request: Request, runtime: Running, visit: Visiting, sent: Sent) -> Response:
    """Address and password; who has a second factor is asked for it then."""
    if not cookies.is_safe(request, runtime):
        return page(request, "login/not_safe.html", status=403)
    where, email = sent.one("next"), sent.one("email")
    try:
        user = logins.check_password(
            runtime.sessions, runtime.keys, email, sent.text("password"), visit.ip
        )
    except (logins.WrongLoginError, logins.TooManyFailuresError) as error:
        return _form(request, where, email, error)
    if user.totp_secret:
        return _second_form(request, where, logins.second_step(runtime.keys, user))
    return let_in(request, runtime, user, where)


@router.post("/login/second")
@for_strangers
def second_step(request: Request, runtime: Running, visit: Visiting, sent: Sent) -> Response:
    """The second factor of somebody whose password was right."""
    where, step = sent.one("next"), sent.one("step")
    with runtime.sessions.writing() as session:
        user = logins.of_second_step(session, runtime.keys, step)
        if user is None:
            return go(request, "/login", said=_("That took too long. Please log in once more."))
        try:
            logins.refuse_guessers(session, runtime.keys, user, visit.ip)
        except logins.TooManyFailuresError as error:
            return _second_form(request, where, step, capitalised(error.sentence), 429)
        if not second_factor.accepts(session, user, sent.one("code")):
            logins.count_failure(session, runtime.keys, user, visit.ip)
            return _second_form(request, where, step, _("That code is not right, or was used."))
    return let_in(request, runtime, user, where)


@router.post("/logout")
@needs(Permission.ACCOUNT)
def log_out(request: Request, runtime: Running, editor: Seated) -> Response:
    """This browser is nobody's any more."""
    with runtime.sessions.writing() as session:
        seats.end(session, editor.seat_key)
    response = go(request, "/login", said=_("You are logged out."))
    cookies.take_away(request, response, cookies.SEAT)
    return response


def let_in(request: Request, runtime: Runtime, user: User, where: str = "/") -> Response:
    """A new seat for this browser, whatever it held before; then on to the page they wanted."""
    before = cookies.read(request, cookies.SEAT)
    with runtime.sessions.writing() as session:
        if not logins.is_as_checked(session, user):
            return go(request, "/login", said=_("Your account was changed just now. Log in anew."))
        earlier = seats.seat_of(session, before)
        if earlier is not None:
            seats.end(session, earlier.key)
        logins.forget_failures(session, runtime.keys, user)
        secret = seats.take(session, user)
        audit.record(session, audit.actor_of(user), "user.logged_in")
    response = go(request, _ours(where))
    cookies.give(request, response, cookies.SEAT, secret, int(seats.LONGEST.total_seconds()))
    cookies.take_away(request, response, cookies.STRANGER)
    return response


def _ours(where: str) -> str:
    """A path on this site, and nothing a browser could take for another one's."""
    is_path = where.startswith("/") and not where.startswith(("//", "/\\"))
    return where if is_path and where.isprintable() and "\\" not in where else "/"


def _form(
    request: Request, where: str, email: str = "", error: RefusedError | None = None
) -> Response:
    status = 200
    if error is not None:
        status = 429 if isinstance(error, logins.TooManyFailuresError) else 422
    problem = capitalised(error.sentence) if error else ""
    return page(
        request, "login/login.html", status=status, next=where, email=email, problem=problem
    )


def _second_form(
    request: Request, where: str, step: str, problem: str = "", status: int = 422
) -> Response:
    status = status if problem else 200
    return page(request, "login/second.html", status=status, next=where, step=step, problem=problem)
