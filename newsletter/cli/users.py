"""`newsletter users`: who works here, and how they come in."""

from typing import Annotated, Any, Literal

import typer
from sqlalchemy.orm import Session

from newsletter.accounts import audit, first_run, invitations, passwords, second_factor, users
from newsletter.accounts.models import User
from newsletter.accounts.permissions import Role
from newsletter.cli import output, state
from newsletter.cli.passwords import ask_for_password
from newsletter.core.errors import InputError, RefusedError
from newsletter.core.runtime import Runtime
from newsletter.core.sentences import say
from newsletter.issues.newsletters import find_newsletter, slugs_of_newsletters
from newsletter.mail.address import Address
from newsletter.sending.invitation_letters import invitation_url, mail_invitation

app = typer.Typer(help="Who works here, and how they come in.", no_args_is_help=True)

_NONE = "none"
RoleOrNone = Literal["author", "sender", "admin", "none"]

_Who = Annotated[str, typer.Argument(metavar="ADDRESS", help="By their e-mail address.")]
_Where = Annotated[
    str | None,
    typer.Option(
        "--newsletter",
        metavar="NEWSLETTER",
        help="In this newsletter alone. Default: in every one.",
    ),
]


@app.command()
def add(
    address: _Who,
    *,
    admin: Annotated[bool, typer.Option("--admin", help="The same as --role admin.")] = False,
    role: Annotated[Role | None, typer.Option(help="What they may do.")] = None,
    newsletter: _Where = None,
    name: Annotated[str, typer.Option(help="As others here see it.")] = "",
    dry_run: output.DryRun = False,
) -> None:
    """Make an account. The password is asked for, or is the first line of standard input."""
    given, to = _given_role(role, admin=admin), Address.parse(address)
    password_hash = passwords.hashed(ask_for_password(to.typed))
    with state.runtime().sessions.writing(rehearse=dry_run) as session:
        place = _place(session, newsletter)
        user = users.add(session, to, password_hash, None if place else given, name)
        if place:
            users.set_membership(session, user, place, given)
        _record(session, "user.added", user, role=given.value, newsletter=newsletter)
    output.say(f"{'Would add' if dry_run else 'Added'} {to.typed} as {given}{_in(newsletter)}.")


@app.command("list")
def list_(*, as_json: output.AsJson = False) -> None:
    """Everybody who works here, with their roles."""
    with state.runtime().sessions.reading() as session:
        slugs = slugs_of_newsletters(session)
        rows = [_facts(user, slugs) for user in users.everybody(session)]
    shown = rows if as_json else [{**row, "roles": _said(row["roles"])} for row in rows]
    output.print_table(
        shown, as_json=as_json, empty="Nobody yet: `newsletter users add ADDRESS --admin`."
    )


@app.command()
def invite(
    address: _Who,
    *,
    role: Annotated[Role, typer.Option(help="What they may do.")],
    newsletter: _Where = None,
    dry_run: output.DryRun = False,
) -> None:
    """Print a link by which somebody new chooses a password; mailed too where that is possible."""
    to, runtime = Address.parse(address), state.runtime()
    with runtime.sessions.writing(rehearse=dry_run) as session:
        place = _place(session, newsletter)
        secret = invitations.invite(session, to, role, place)
        mailed = mail_invitation(session, runtime, to, secret, newsletter_id=place)
        audit.record(
            session,
            audit.at_the_command_line(),
            "user.invited",
            role=role.value,
            newsletter=newsletter,
        )
    if dry_run:
        output.say(f"Would invite {to.typed} as {role}{_in(newsletter)}.")
        return
    _show_link(to.typed, invitation_url(runtime, secret), mailed=mailed)


@app.command()
def password(
    address: _Who,
    *,
    link: Annotated[
        bool, typer.Option("--link", help="Print a link instead, for them to choose it by.")
    ] = False,
    no_second_factor: Annotated[
        bool,
        typer.Option(
            "--no-second-factor", help="Take the second factor off too: phone and codes are lost."
        ),
    ] = False,
    dry_run: output.DryRun = False,
) -> None:
    """Give somebody a new password: asked for, or the first line of standard input.

    Every browser of theirs is logged out.
    """
    runtime = state.runtime()
    if link and no_second_factor:
        raise InputError("--no-second-factor", say("expected without --link"))
    if link:
        _print_link(runtime, address, dry_run=dry_run)
        return
    with runtime.sessions.reading() as session:
        known = users.find(session, address).email
    password_hash = passwords.hashed(ask_for_password(known))
    with runtime.sessions.writing(rehearse=dry_run) as session:
        user = users.find(session, address)
        users.set_password(session, user, password_hash)
        invitations.end_links_of(session, user.id)
        if no_second_factor:
            second_factor.turn_off(session, user)
            _record(session, "user.second_factor_taken_off", user)
        _record(session, "user.password_changed", user)
    output.say(f"{known} {'would have' if dry_run else 'has'} a new password.")


@app.command()
def role(
    address: _Who,
    role: Annotated[
        RoleOrNone, typer.Argument(metavar="ROLE", help="What they may do; none takes it away.")
    ],
    *,
    newsletter: _Where = None,
    dry_run: output.DryRun = False,
) -> None:
    """Change what somebody may do. Every browser of theirs is logged out."""
    given = None if role == _NONE else Role(role)
    with state.runtime().sessions.writing(rehearse=dry_run) as session:
        user = users.find(session, address)
        place = _place(session, newsletter)
        if place:
            users.set_membership(session, user, place, given)
        else:
            users.set_role(session, user, given)
        _record(session, "user.role_changed", user, role=given, newsletter=newsletter)
    output.say(
        f"{user.email} {'would be' if dry_run else 'is'} {given or 'nobody'}{_in(newsletter)}."
    )


@app.command()
def deactivate(
    address: _Who,
    *,
    undo: Annotated[bool, typer.Option("--undo", help="Let them in again.")] = False,
    dry_run: output.DryRun = False,
) -> None:
    """Let somebody in no more: browsers are logged out, their tokens are worth nothing."""
    with state.runtime().sessions.writing(rehearse=dry_run) as session:
        user = users.find(session, address)
        users.set_active(session, user, is_active=undo)
        invitations.end_links_of(session, user.id)
        _record(session, "user.activated" if undo else "user.deactivated", user)
    output.say(
        f"{user.email} {'would be' if dry_run else 'is'} switched {'on' if undo else 'off'}."
    )


@app.command("set-up-code")
def set_up_code() -> None:
    """Print the link and the code by which the first user is made in the browser, as `serve` does.

    There is none once somebody works here.
    """
    runtime = state.runtime()
    with runtime.sessions.reading() as session:
        if users.anybody(session):
            raise RefusedError(say("somebody works here already: `newsletter users list` says who"))
    site = runtime.settings.site
    output.say(f"{site.public_url}{first_run.set_up_path(runtime.keys)}")
    output.say(f"Set-up code: {first_run.set_up_code(runtime.keys)}")
    if not site.base_url:
        output.say(
            "site.base_url is not set: if `serve` was started with another --host or --port, "
            "put the address that it said before /set-up."
        )


def _print_link(runtime: Runtime, address: str, *, dry_run: bool) -> None:
    with runtime.sessions.writing(rehearse=dry_run) as session:
        user = users.find(session, address)
        secret = invitations.for_new_password(session, user)
        to = Address.stored(user.email, user.address_key)
        mailed = mail_invitation(session, runtime, to, secret, is_new=False)
        _record(session, "user.password_link_made", user)
    if dry_run:
        output.say(f"Would make a link for {to.typed}.")
        return
    _show_link(to.typed, invitation_url(runtime, secret), mailed=mailed)


def _show_link(address: str, url: str, *, mailed: bool) -> None:
    days = invitations.GOOD_FOR.days
    output.say(f"{address} chooses a password here, once, within {days} days:\n{url}")
    if mailed:
        output.say("It is in the outbox too.")


def _given_role(role: Role | None, *, admin: bool) -> Role:
    given = Role.ADMIN if admin and role is None else role
    if given is None or (admin and given is not Role.ADMIN):
        raise InputError("--role", say("expected one of %(roles)s", roles=", ".join(Role)))
    return given


def _place(session: Session, newsletter: str | None) -> int | None:
    return find_newsletter(session, newsletter).id if newsletter else None


def _in(newsletter: str | None) -> str:
    return f" in {newsletter!r}" if newsletter else " everywhere"


def _facts(user: User, slugs: dict[int, str]) -> dict[str, Any]:
    roles = {"everywhere": user.role.value} if user.role else {}
    roles |= {slugs[here.newsletter_id]: here.role.value for here in user.memberships}
    return {
        "user": user.email,
        "name": user.name,
        "roles": roles,
        "second_factor": bool(user.totp_secret),
        "active": user.is_active,
    }


def _said(roles: dict[str, str]) -> str:
    return ", ".join(f"{role} {place}" for place, role in roles.items()) or _NONE


def _record(session: Session, action: str, user: User, **details: Any) -> None:
    audit.record(session, audit.at_the_command_line(), action, user=user.id, **details)
