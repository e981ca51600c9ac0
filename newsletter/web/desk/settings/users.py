"""Users: who works here, as what; accounts switched on and off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import HTTPException, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from newsletter.accounts import audit, invitations, second_factor, users
from newsletter.accounts.models import Invitation, User
from newsletter.accounts.permissions import Permission, Role
from newsletter.core.errors import InputError, RefusedError
from newsletter.core.runtime import Runtime
from newsletter.issues.models import Newsletter
from newsletter.mail.address import Address
from newsletter.sending.invitation_letters import invitation_url, mail_invitation
from newsletter.web.deps import Running
from newsletter.web.desk.forms import Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import go, page
from newsletter.web.desk.problems import capitalised, without_place
from newsletter.web.desk.settings.roles import NOBODY, parse_role, role_choices, role_names
from newsletter.web.desk.text import _
from newsletter.web.pages import language_of

router = desk_router()

_USER = "/settings/users/{user_id}"


@dataclass(frozen=True, slots=True)
class Known:
    """What the pages about users show."""

    users: Sequence[User]
    waiting: Sequence[Invitation]
    newsletters: dict[int, str]


@router.get("/settings/users")
@needs(Permission.INSTALLATION)
def index(request: Request, runtime: Running) -> Response:
    """Everybody, and who is invited."""
    with runtime.sessions.reading() as session:
        known = Known(_everybody(session), invitations.waiting(session), _newsletters(session))
    return page(request, "settings/users.html", known=known, roles=role_names())


@router.get("/settings/users/invite")
@needs(Permission.INSTALLATION)
def ask(request: Request, runtime: Running) -> Response:
    """The form that invites."""
    with runtime.sessions.reading() as session:
        newsletters = _newsletters(session)
    return _invite_form(request, newsletters)


@router.post("/settings/users/invite")
@needs(Permission.INSTALLATION)
def invite(request: Request, runtime: Running, editor: Seated, sent: Sent) -> Response:
    """A link to pass on, shown once; mailed too where that is possible."""
    email, place = sent.one("email"), sent.number("newsletter_id")
    role = parse_role(sent.one("role"))
    try:
        to = Address.parse(email, place="email")
        with runtime.sessions.writing() as session:
            newsletters = _newsletters(session)
            if role is None or (place is not None and place not in newsletters):
                raise HTTPException(422)
            secret = invitations.invite(session, to, role, place)
            mailed = mail_invitation(
                session, runtime, to, secret, newsletter_id=place, asked_in=language_of(request)
            )
            audit.record(
                session, editor.actor, "user.invited", role=role.value, newsletter_id=place
            )
    except (InputError, RefusedError) as error:
        with runtime.sessions.reading() as session:
            newsletters = _newsletters(session)
        typed = {"email": email, "role": sent.one("role"), "newsletter_id": place or ""}
        return _invite_form(request, newsletters, typed, {"email": without_place(error)})
    return _link_page(request, runtime, to, secret, mailed=mailed)


@router.post("/settings/users/invitations/withdraw")
@needs(Permission.INSTALLATION)
def withdraw(request: Request, runtime: Running, editor: Seated, sent: Sent) -> Response:
    """End an invitation."""
    with runtime.sessions.writing() as session:
        ended = invitations.withdraw(session, sent.one("key"))
        if ended:
            audit.record(session, editor.actor, "user.invitation_withdrawn")
    said = _("The invitation is withdrawn.") if ended else _("The invitation was gone already.")
    return go(request, "/settings/users", said=said)


@router.get(_USER)
@needs(Permission.INSTALLATION)
def show(request: Request, runtime: Running, user_id: int) -> Response:
    """One user: roles, and what can be done about the account."""
    return _show(request, runtime, user_id)


@router.post(_USER)
@needs(Permission.INSTALLATION)
def change(
    request: Request, runtime: Running, editor: Seated, user_id: int, sent: Sent
) -> Response:
    """Roles, everywhere and in each newsletter; whose roles change is logged out everywhere."""
    try:
        with runtime.sessions.writing() as session:
            user = _user(session, user_id)
            changed = _changed_roles(session, user, sent)
            if changed:
                audit.record(
                    session, editor.actor, "user.role_changed", user=user_id, roles=changed
                )
    except RefusedError as error:
        return _show(request, runtime, user_id, capitalised(error.sentence))
    return go(request, f"/settings/users/{user_id}", said=_("Saved."))


@router.post(f"{_USER}/active")
@needs(Permission.INSTALLATION)
def switch(
    request: Request, runtime: Running, editor: Seated, user_id: int, sent: Sent
) -> Response:
    """Switch the account off, or on again."""
    is_active = sent.one("active") == "1"
    try:
        with runtime.sessions.writing() as session:
            user = _user(session, user_id)
            users.set_active(session, user, is_active=is_active)
            invitations.end_links_of(session, user_id)
            action = "user.activated" if is_active else "user.deactivated"
            audit.record(session, editor.actor, action, user=user_id)
    except RefusedError as error:
        return _show(request, runtime, user_id, capitalised(error.sentence))
    said = _("The account is on again.") if is_active else _("The account is off.")
    return go(request, f"/settings/users/{user_id}", said=said)


@router.post(f"{_USER}/link")
@needs(Permission.INSTALLATION)
def link(request: Request, runtime: Running, editor: Seated, user_id: int) -> Response:
    """A link by which they choose a new password."""
    try:
        with runtime.sessions.writing() as session:
            user = _user(session, user_id)
            secret = invitations.for_new_password(session, user)
            to = Address.stored(user.email, user.address_key)
            mailed = mail_invitation(
                session, runtime, to, secret, is_new=False, asked_in=language_of(request)
            )
            audit.record(session, editor.actor, "user.password_link_made", user=user_id)
    except RefusedError as error:
        return _show(request, runtime, user_id, capitalised(error.sentence))
    return _link_page(request, runtime, to, secret, mailed=mailed, is_new=False)


@router.post(f"{_USER}/second-factor")
@needs(Permission.INSTALLATION)
def without_second_factor(
    request: Request, runtime: Running, editor: Seated, user_id: int
) -> Response:
    """For somebody else who has lost both the app and the recovery codes.

    One's own asks for password and code: a stolen cookie must not be enough.
    """
    if user_id == editor.user_id:
        return go(request, "/account/second-factor")
    with runtime.sessions.writing() as session:
        user = _user(session, user_id)
        second_factor.turn_off(session, user)
        audit.record(session, editor.actor, "user.second_factor_taken_off", user=user_id)
    said = _("The password is enough again. Please make sure that it was really them who asked.")
    return go(request, f"/settings/users/{user_id}", said=said)


def _link_page(
    request: Request,
    runtime: Runtime,
    to: Address,
    secret: str,
    *,
    mailed: bool,
    is_new: bool = True,
) -> Response:
    return page(
        request,
        "settings/link.html",
        email=to.typed,
        url=invitation_url(runtime, secret),
        mailed=mailed,
        is_new=is_new,
        days=invitations.GOOD_FOR.days,
    )


def _changed_roles(session: Session, user: User, sent: Sent) -> dict[str, str]:
    """Change the roles that are others now; which, by place."""
    changed: dict[str, str] = {}
    everywhere = parse_role(sent.one("everywhere"))
    if everywhere != user.role:
        users.set_role(session, user, everywhere)
        changed["everywhere"] = everywhere or NOBODY
    held = {here.newsletter_id: here.role for here in user.memberships}
    for newsletter_id in _newsletters(session):
        field = f"newsletter-{newsletter_id}"
        role = parse_role(sent.one(field))
        if field in sent and role != held.get(newsletter_id):
            users.set_membership(session, user, newsletter_id, role)
            changed[str(newsletter_id)] = role or NOBODY
    return changed


def _show(request: Request, runtime: Running, user_id: int, problem: str = "") -> Response:
    with runtime.sessions.reading() as session:
        user = _user(session, user_id)
        newsletters = _newsletters(session)
        held = {here.newsletter_id: here.role for here in user.memberships}
    return page(
        request,
        "settings/user.html",
        status=409 if problem else 200,
        user=user,
        held=held,
        newsletters=newsletters,
        choices=role_choices(),
        problem=problem,
    )


def _invite_form(
    request: Request,
    newsletters: dict[int, str],
    typed: Mapping[str, object] | None = None,
    problems: Mapping[str, str] | None = None,
) -> Response:
    typed = typed or {"email": "", "role": Role.AUTHOR.value, "newsletter_id": ""}
    return page(
        request,
        "settings/invite.html",
        status=422 if problems else 200,
        newsletters=newsletters,
        choices=[(role, said) for role, said in role_choices() if role != NOBODY],
        typed=typed,
        problems=problems or {},
    )


def _user(session: Session, user_id: int) -> User:
    found = session.get(User, user_id)
    if found is None:
        raise HTTPException(404)
    return found


def _everybody(session: Session) -> Sequence[User]:
    everybody = select(User).options(selectinload(User.memberships)).order_by(User.address_key)
    return session.scalars(everybody).all()


def _newsletters(session: Session) -> dict[int, str]:
    """Names by id, in the order of the names."""
    found = session.execute(select(Newsletter.id, Newsletter.name).order_by(Newsletter.name))
    return dict(found.all())
