"""`newsletter lists`: the lists people can be on."""

from typing import Annotated

import typer
from sqlalchemy.orm import Session

from newsletter.cli import output, state
from newsletter.issues.newsletters import find_newsletter, only_newsletter
from subscribers import lists
from subscribers.models import SubscriberList, SubscriptionStatus

app = typer.Typer(help="The lists people can be on.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as `Readers`.")],
    *,
    newsletter: Annotated[
        str | None, typer.Option(help="Whose list it is. Default: the only newsletter.")
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


def new_list(session: Session, name: str, newsletter: str | None = None) -> SubscriberList:
    """A list of the named newsletter or the only one; before the first, of the first to come."""
    owner = find_newsletter(session, newsletter) if newsletter else only_newsletter(session)
    return lists.create_list(session, name, owner.id if owner else None)
