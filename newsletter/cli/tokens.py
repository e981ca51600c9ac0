"""`newsletter tokens`: what will let programs in; nothing takes them yet."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer

from newsletter.accounts import api_tokens, audit, users
from newsletter.accounts.models import ApiToken, User
from newsletter.accounts.permissions import Permission
from newsletter.cli import output, state
from newsletter.core.clock import now
from newsletter.issues.newsletters import (
    find_newsletter,
    named_or_only_newsletter,
    slugs_of_newsletters,
)

app = typer.Typer(help="API tokens; nothing takes them yet.", no_args_is_help=True)

_DEFAULT_DAYS = 365


class Scope(StrEnum):
    """What a token can be for."""

    READ = Permission.READ
    WRITE = Permission.WRITE
    SEND = Permission.SEND
    PEOPLE = Permission.PEOPLE
    SETTINGS = Permission.SETTINGS


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the token is for.")],
    *,
    user: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Whose token it is: it ends with their account.")
    ],
    scope: Annotated[list[Scope], typer.Option(help="What it is for. Repeat for several.")],
    newsletter: Annotated[
        str | None, typer.Option(metavar="NEWSLETTER", help="Where. Default: the only newsletter.")
    ] = None,
    days: Annotated[
        int, typer.Option(min=1, max=api_tokens.LONGEST_DAYS, help="How long it is good.")
    ] = _DEFAULT_DAYS,
    dry_run: output.DryRun = False,
) -> None:
    """Make a token and print it, once: what is kept is a hash."""
    scopes = {Permission(word) for word in scope}
    with state.runtime().sessions.writing(rehearse=dry_run) as session:
        made, text = api_tokens.make(
            session,
            users.find(session, user),
            named_or_only_newsletter(session, newsletter).id,
            name=name,
            scopes=scopes,
            expires_at=now() + timedelta(days=days),
        )
        audit.record(
            session,
            audit.at_the_command_line(),
            "token.made",
            token=made.id,
            name=made.name,
            scopes=made.scopes,
        )
    if dry_run:
        output.say(f"Would make token {made.name!r} for {', '.join(made.scopes)}.")
        return
    output.say(f"Token {made.id}, {made.name!r}; it is shown this once:")
    output.say(text)


@app.command("list")
def list_(
    *,
    newsletter: Annotated[
        str | None, typer.Option(metavar="NEWSLETTER", help="Of this newsletter alone.")
    ] = None,
    as_json: output.AsJson = False,
) -> None:
    """All tokens, the latest first: whose, what for, until when."""
    with state.runtime().sessions.reading() as session:
        place = find_newsletter(session, newsletter).id if newsletter else None
        slugs = slugs_of_newsletters(session)
        found = api_tokens.of_newsletter(session, place)
        rows = [_facts(token, maker, slugs) for token, maker in found]
    output.print_table(rows, as_json=as_json, empty="No token.")


@app.command()
def revoke(
    number: Annotated[
        int,
        typer.Argument(
            metavar="TOKEN", min=1, max=output.HIGHEST_ID, help="As `tokens list` shows it."
        ),
    ],
    *,
    dry_run: output.DryRun = False,
) -> None:
    """End a token for good."""
    with state.runtime().sessions.writing(rehearse=dry_run) as session:
        token = api_tokens.revoke(session, number)
        audit.record(session, audit.at_the_command_line(), "token.revoked", token=token.id)
    output.say(f"Token {token.name!r} {'would be' if dry_run else 'is'} revoked.")


def _facts(token: ApiToken, maker: User, slugs: dict[int, str]) -> dict[str, Any]:
    return {
        "token": token.id,
        "name": token.name,
        "begins": token.hint,
        "newsletter": slugs[token.newsletter_id],
        "user": maker.email,
        "scopes": ", ".join(token.scopes),
        "state": api_tokens.standing(token, maker),
        "expires": token.expires_at,
        "used": token.used_at,
    }
