"""`newsletter tokens`: what lets programs in."""

from datetime import timedelta
from typing import Annotated, Any

import typer

from newsletter.accounts import api_tokens, audit, users
from newsletter.accounts.models import ApiToken, User
from newsletter.accounts.permissions import Permission
from newsletter.cli import output, state
from newsletter.core.clock import now
from newsletter.core.errors import InputError
from newsletter.core.sentences import say
from newsletter.issues.newsletters import (
    find_newsletter,
    named_or_only_newsletter,
    slugs_of_newsletters,
)

app = typer.Typer(help="API tokens: what lets programs in.", no_args_is_help=True)

_SCOPES = ", ".join(api_tokens.SCOPES)
_DEFAULT_DAYS = 365


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the token is for.")],
    *,
    user: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Whose token it is: it ends with their account.")
    ],
    scope: Annotated[
        list[str], typer.Option(help=f"What it is for: {_SCOPES}. Repeat for several.")
    ],
    newsletter: Annotated[
        str | None, typer.Option(help="Where. Default: the only newsletter.")
    ] = None,
    days: Annotated[
        int, typer.Option(min=1, max=api_tokens.LONGEST_DAYS, help="How long it is good.")
    ] = _DEFAULT_DAYS,
    dry_run: output.DryRun = False,
) -> None:
    """Make a token and print it, once: what is kept is a hash."""
    scopes = {_scope(text) for text in scope}
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
    newsletter: Annotated[str | None, typer.Option(help="Of this newsletter alone.")] = None,
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
            metavar="NUMBER", min=1, max=output.HIGHEST_ID, help="As `tokens list` shows it."
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


def _scope(text: str) -> Permission:
    if text not in api_tokens.SCOPES:
        raise InputError("--scope", say("expected one of %(scopes)s", scopes=_SCOPES))
    return Permission(text)


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
