"""`/account/second-factor`: codes of an app on, off; recovery codes. Each asks for the password."""

import segno
from fastapi import Request, Response

from newsletter.accounts import audit, logins, seats, second_factor
from newsletter.accounts.models import User
from newsletter.accounts.permissions import Permission
from newsletter.core.errors import InputError, RefusedError
from newsletter.core.runtime import Runtime
from newsletter.tracking.recording import Visit
from newsletter.web.deps import Running, Visiting
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.forms import Form, Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import go, page
from newsletter.web.desk.problems import capitalised
from newsletter.web.desk.text import _

router = desk_router()

_HERE = "/account/second-factor"
_GROUP = 4


@router.get(_HERE)
@needs(Permission.ACCOUNT)
def show(request: Request, runtime: Running, editor: Seated) -> Response:
    """A picture to scan while it is off; what can be done about it while it is on."""
    return _show(request, runtime, editor)


@router.post(f"{_HERE}/on")
@needs(Permission.ACCOUNT)
def turn_on(
    request: Request, runtime: Running, editor: Seated, visit: Visiting, sent: Sent
) -> Response:
    """On, once a code shows that the app has the secret; the recovery codes are shown this once."""
    offer = sent.one("offer")
    problems = _wrong_password(runtime, editor, visit, sent)
    if problems:
        return _show(request, runtime, editor, problems, offer)
    try:
        with runtime.sessions.writing() as session:
            user = session.get_one(User, editor.user_id)
            secret = second_factor.offered(runtime.keys, user, offer)
            codes = second_factor.turn_on(session, user, secret, sent.one("code"))
            seats.end_all(session, user.id, but=editor.seat_key)
            audit.record(session, editor.actor, "user.second_factor_on", user=user.id)
    except InputError as error:
        return _show(request, runtime, editor, {"code": capitalised(error.problem)}, offer)
    except RefusedError:
        return go(request, _HERE)
    return page(request, "account/recovery_codes.html", codes=codes)


@router.post(f"{_HERE}/off")
@needs(Permission.ACCOUNT)
def turn_off(
    request: Request, runtime: Running, editor: Seated, visit: Visiting, sent: Sent
) -> Response:
    """Off; it takes the password and a code."""
    if problems := _wrong_proof(runtime, editor, visit, sent):
        return _show(request, runtime, editor, problems)
    with runtime.sessions.writing() as session:
        user = session.get_one(User, editor.user_id)
        second_factor.turn_off(session, user)
        audit.record(session, editor.actor, "user.second_factor_off", user=user.id)
    return go(request, "/account", said=_("The second factor is off: the password is enough."))


@router.post(f"{_HERE}/recovery-codes")
@needs(Permission.ACCOUNT)
def new_codes(
    request: Request, runtime: Running, editor: Seated, visit: Visiting, sent: Sent
) -> Response:
    """Ten new recovery codes; those there were end."""
    if problems := _wrong_proof(runtime, editor, visit, sent):
        return _show(request, runtime, editor, problems)
    with runtime.sessions.writing() as session:
        user = session.get_one(User, editor.user_id)
        codes = second_factor.new_recovery_codes(session, user)
        audit.record(session, editor.actor, "user.recovery_codes_made", user=user.id)
    return page(request, "account/recovery_codes.html", codes=codes)


def _wrong_password(runtime: Runtime, editor: Editor, visit: Visit, sent: Form) -> dict[str, str]:
    """The problem at the field; empty when it is right. Wrong ones are counted as at the login."""
    try:
        logins.check_password(
            runtime.sessions, runtime.keys, editor.email, sent.text("password"), visit.ip
        )
    except logins.WrongLoginError:
        return {"password": _("This is not your password.")}
    except logins.TooManyFailuresError as error:
        return {"password": capitalised(error.sentence)}
    return {}


def _wrong_code(runtime: Runtime, editor: Editor, visit: Visit, sent: Form) -> dict[str, str]:
    """As above; a right code is taken by this."""
    with runtime.sessions.writing() as session:
        user = session.get_one(User, editor.user_id)
        if second_factor.accepts(session, user, sent.one("code")):
            return {}
        logins.count_failure(session, runtime.keys, user, visit.ip)
    return {"code": _("That code is not right, or was used.")}


def _wrong_proof(runtime: Runtime, editor: Editor, visit: Visit, sent: Form) -> dict[str, str]:
    """As above, of both; no code is used up beside a wrong password."""
    wrong = _wrong_password(runtime, editor, visit, sent)
    return wrong or _wrong_code(runtime, editor, visit, sent)


def _show(
    request: Request,
    runtime: Runtime,
    editor: Editor,
    problems: dict[str, str] | None = None,
    offer: str = "",
) -> Response:
    with runtime.sessions.reading() as session:
        user = session.get_one(User, editor.user_id)
        codes_left = second_factor.recovery_codes_left(session, editor.user_id)
    status = 422 if problems else 200
    if second_factor.is_on(user):
        return page(
            request,
            "account/second_factor_on.html",
            status=status,
            codes_left=codes_left,
            problems=problems or {},
        )
    try:
        secret = second_factor.offered(runtime.keys, user, offer)
    except InputError:
        offer = second_factor.offer(runtime.keys, user)
        secret = second_factor.offered(runtime.keys, user, offer)
    issuer = editor.newsletter_name or "Newsletter"
    picture = segno.make(second_factor.setup_url(secret, user, issuer), error="m")
    return page(
        request,
        "account/second_factor_off.html",
        status=status,
        offer=offer,
        picture=picture.svg_data_uri(scale=5, border=4, dark="#000", light="#fff"),
        secret=" ".join(secret[n : n + _GROUP] for n in range(0, len(secret), _GROUP)),
        problems=problems or {},
    )
