"""`newsletter lists`: the lists people can be on, and their sign-up forms."""

from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from newsletter.accounts import audit
from newsletter.cli import output, state
from newsletter.core.catalogues import ENGLISH, READERS
from newsletter.core.errors import InputError
from newsletter.core.sentences import say
from newsletter.issues.models import Newsletter
from newsletter.issues.newsletters import find_newsletter, only_newsletter
from subscribers import lists
from subscribers.lists import find_list
from subscribers.models import SubscriberList, SubscriptionStatus
from subscribers.sign_up import fields_of
from subscribers.sign_up_fields import read_fields

app = typer.Typer(help="The lists people can be on.", no_args_is_help=True)

ListArgument = Annotated[str, typer.Argument(metavar="LIST", help="Its short name.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as `Readers`.")],
    *,
    newsletter: Annotated[
        str | None,
        typer.Option(metavar="NEWSLETTER", help="Whose list it is. Default: the only newsletter."),
    ] = None,
    dry_run: output.DryRun = False,
) -> None:
    """Make a list."""
    with state.runtime().sessions.writing(rehearse=dry_run) as session:
        created = new_list(session, name, newsletter)
    output.say(f"{'Would make' if dry_run else 'Made'} list {created.slug!r}.")


@app.command("list")
def list_(*, as_json: output.AsJson = False) -> None:
    """All lists with their sizes."""
    with state.runtime().sessions.reading() as session:
        rows = [
            {
                "list": found.slug,
                "name": found.name,
                **{status.value: sizes.get(status, 0) for status in SubscriptionStatus},
            }
            for found, sizes in lists.list_sizes(session)
        ]
    output.print_table(rows, as_json=as_json, empty="No list yet: `newsletter lists create NAME`.")


@app.command()
def show(
    name: ListArgument,
    *,
    language: Annotated[
        str,
        typer.Option(metavar="LANGUAGE", help="Of the form for your own site, such as `de`."),
    ] = ENGLISH,
    as_json: output.AsJson = False,
) -> None:
    """One list: its settings, its sizes, and its sign-up form for your own site."""
    runtime, spoken = state.runtime(), _spoken(language)
    base_url = runtime.settings.site.public_url
    with runtime.sessions.reading() as session:
        details = _details(session, find_list(session, name), base_url, spoken)
    if as_json:
        output.print_json(details)
        return
    del details["edition"]
    snippet = details.pop("embed")
    for key, value in details.items():
        output.say(f"{key.replace('_', ' '):12} {_said(value)}")
    if snippet:
        output.say("\nFor your own site:\n")
        output.write(snippet + "\n")


@app.command("set")
def set_(
    name: ListArgument,
    *,
    public: Annotated[
        bool | None,
        typer.Option("--public/--private", help="Whether anybody may sign up by its form."),
    ] = None,
    confirm: Annotated[
        bool | None, typer.Option(help="Whether who signs up has to confirm by mail.")
    ] = None,
    welcome: Annotated[
        bool | None, typer.Option(help="Whether who came by the form gets a welcome mail.")
    ] = None,
    wording: Annotated[
        str | None,
        typer.Option(help="What the form says people agree to; empty: the usual sentence."),
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=LABEL",
            help="What the form asks besides the address; `:required` at the end insists. "
            "Repeat for several, in order; replaces those there were.",
        ),
    ] = None,
    no_fields: Annotated[
        bool, typer.Option("--no-fields", help="The form asks for the address alone.")
    ] = False,
    dry_run: output.DryRun = False,
) -> None:
    """Change a list's sign-up form: who may use it, what it says and asks, what follows."""
    fields = _fields(field, no_fields=no_fields)
    changes = {
        "is_public": public,
        "confirms": confirm,
        "welcomes": welcome,
        "wording": None if wording is None else lists.checked_wording(wording, place="--wording"),
        "fields": fields,
    }
    wanted = {key: value for key, value in changes.items() if value is not None}
    if not wanted:
        raise InputError("lists set", say("nothing to change; `--help` lists what can be"))
    with state.runtime().sessions.writing(rehearse=dry_run) as session:
        changed = find_list(session, name)
        for key, value in wanted.items():
            setattr(changed, key, value)
        audit.record(
            session, audit.at_the_command_line(), "list.changed", list=changed.slug, changes=wanted
        )
        said = ", ".join(f"{key.replace('_', ' ')} {_said(value)}" for key, value in wanted.items())
    output.say(f"{'Would change' if dry_run else 'Changed'} list {changed.slug!r}: {said}.")


def new_list(session: Session, name: str, newsletter: str | None = None) -> SubscriberList:
    """A list of the named newsletter or the only one; before the first, of the first to come."""
    owner = find_newsletter(session, newsletter) if newsletter else only_newsletter(session)
    return lists.create_list(session, name, owner.id if owner else None)


def _fields(texts: list[str] | None, *, no_fields: bool) -> list[dict[str, Any]] | None:
    if no_fields and texts:
        raise InputError("--no-fields", say("expected either --field or --no-fields"))
    if no_fields:
        return []
    return [asked.to_json() for asked in read_fields(texts)] if texts else None


def _spoken(language: str) -> str:
    """One that there is; asked for by name, English is no substitute."""
    spoken, known = READERS.first(language), READERS.languages()
    if spoken == ENGLISH and language.partition("-")[0] != ENGLISH:
        raise InputError("--language", say("expected one of %(known)s", known=", ".join(known)))
    return spoken


def _details(
    session: Session, found: SubscriberList, base_url: str, language: str
) -> dict[str, Any]:
    from newsletter.web.public.embedding import snippet
    from newsletter.web.public.sign_up_form import Form

    owner = session.get(Newsletter, found.newsletter_id) if found.newsletter_id else None
    form = Form.of(found, owner) if owner and found.is_public else None
    sizes = dict(lists.list_sizes(session)).get(found, {})
    return {
        "list": found.slug,
        "name": found.name,
        "newsletter": owner.slug if owner else None,
        **{status.value: sizes.get(status, 0) for status in SubscriptionStatus},
        "public": found.is_public,
        "confirm": found.confirms,
        "welcome": found.welcomes,
        "wording": form.wording_in(language) if form else found.wording,
        "edition": form.edition_in(language) if form else None,
        "fields": [asked.to_json() for asked in fields_of(found)],
        "form": f"{base_url}/s/{found.slug}" if form else None,
        "embed": snippet(form, base_url, language) if form else None,
    }


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        asked = [
            f"{one['label']} ({one['key']}{', required' if one['required'] else ''})"
            for one in value
        ]
        return "; ".join(asked) or "none"
    return "none" if value in {None, ""} else str(value)
