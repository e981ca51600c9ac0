"""`/account`: one's own name, time zone and password, and the browsers one is logged in with."""

from fastapi import Request, Response

from newsletter.accounts import (
    audit,
    invitations,
    logins,
    passwords,
    seats,
    second_factor,
    time_zones,
    users,
)
from newsletter.accounts.models import User
from newsletter.accounts.permissions import Permission
from newsletter.core.errors import InputError
from newsletter.core.runtime import Runtime
from newsletter.web.deps import Running, Visiting
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.forms import Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import go, page
from newsletter.web.desk.problems import capitalised
from newsletter.web.desk.text import _

router = desk_router()

_HERE = "/account"


@router.get(_HERE)
@needs(Permission.ACCOUNT)
def show(request: Request, runtime: Running, editor: Seated) -> Response:
    """Everything that is one's own."""
    return _show(request, runtime, editor)


@router.post(_HERE)
@needs(Permission.ACCOUNT)
def change(request: Request, runtime: Running, editor: Seated, sent: Sent) -> Response:
    """Name, time zone, and whether single keys do something."""
    zone = sent.one("time_zone")
    try:
        name = users.checked_name(sent.one("name"))
    except InputError as error:
        return _show(request, runtime, editor, {"name": capitalised(error.problem)})
    with runtime.sessions.writing() as session:
        user = session.get_one(User, editor.user_id)
        if zone in time_zones.offered() or zone == user.time_zone:
            user.name, user.time_zone = name, zone
            user.uses_shortcuts = "shortcuts" in sent
            return go(request, _HERE, said=_("Saved."))
    return _show(request, runtime, editor, {"time_zone": _("Please choose one of these.")})


@router.post(f"{_HERE}/password")
@needs(Permission.ACCOUNT)
def change_password(
    request: Request, runtime: Running, editor: Seated, visit: Visiting, sent: Sent
) -> Response:
    """Another password; every other browser is logged out."""
    new = sent.text("new")
    try:
        logins.check_password(
            runtime.sessions, runtime.keys, editor.email, sent.text("current"), visit.ip
        )
        passwords.check(new, editor.email)
    except logins.WrongLoginError:
        return _show(request, runtime, editor, {"current": _("This is not your password.")})
    except logins.TooManyFailuresError as error:
        return _show(request, runtime, editor, {"current": capitalised(error.sentence)})
    except InputError as error:
        return _show(request, runtime, editor, {"new": capitalised(error.problem)})
    password_hash = passwords.hashed(new)
    with runtime.sessions.writing() as session:
        user = session.get_one(User, editor.user_id)
        users.set_password(session, user, password_hash, but=editor.seat_key)
        invitations.end_links_of(session, user.id)
        audit.record(session, editor.actor, "user.password_changed", user=user.id)
    said = _("Your password is changed. All your other browsers are logged out.")
    return go(request, _HERE, said=said)


@router.post(f"{_HERE}/browsers")
@needs(Permission.ACCOUNT)
def log_out_browsers(request: Request, runtime: Running, editor: Seated, sent: Sent) -> Response:
    """Log one other browser out, or all others."""
    key = sent.one("key")
    with runtime.sessions.writing() as session:
        mine = {row.key for row in seats.all_of(session, editor.user_id)}
        if key:
            for found in {key} & mine:
                seats.end(session, found)
        else:
            seats.end_all(session, editor.user_id, but=editor.seat_key)
    return go(request, _HERE, said=_("Logged out there."))


def _show(
    request: Request, runtime: Runtime, editor: Editor, problems: dict[str, str] | None = None
) -> Response:
    with runtime.sessions.reading() as session:
        user = session.get_one(User, editor.user_id)
        browsers = seats.all_of(session, editor.user_id)
        codes_left = second_factor.recovery_codes_left(session, editor.user_id)
    own = user.time_zone
    others = [(own, own)] if own not in time_zones.offered() else []
    return page(
        request,
        "account/account.html",
        status=422 if problems else 200,
        user=user,
        zones=[*others, *time_zones.choices()],
        browsers=browsers,
        has_second_factor=second_factor.is_on(user),
        codes_left=codes_left,
        problems=problems or {},
        fewest=passwords.FEWEST_CHARACTERS,
    )
