"""`newsletter db`: the tables."""

import typer

from newsletter.cli import output, state
from newsletter.core.errors import SchemaError
from newsletter.core.runtime import open_runtime
from newsletter.migrations import schema

app = typer.Typer(help="Create, upgrade and check the database's tables.", no_args_is_help=True)


@app.command()
def upgrade(*, dry_run: output.DryRun = False) -> None:
    """Bring the database to this version's tables. Safe to run again, and by several at once."""
    sessions = open_runtime(state.settings()).sessions
    if schema.is_current(sessions):
        output.say(f"The database is at this version ({schema.head()}); nothing to do.")
    elif dry_run:
        output.say(f"Would upgrade the database to {schema.head()}.")
    else:
        schema.upgrade(sessions)
        output.say(f"The database is now at {schema.head()}.")


@app.command()
def check(*, as_json: output.AsJson = False) -> None:
    """Compare the database with this version's tables; exit code 2 if they differ."""
    sessions = open_runtime(state.settings()).sessions
    current = schema.is_current(sessions)
    differences = schema.drift(sessions) if current else []
    if as_json:
        output.print_json({"current": current, "head": schema.head(), "differences": differences})
    if not current:
        raise SchemaError("the database is not at this version; run `newsletter db upgrade`")
    if differences:
        raise SchemaError("the tables differ from this version's: " + "; ".join(differences))
    if not as_json:
        output.say(f"The database is at this version ({schema.head()}) and its tables agree.")
