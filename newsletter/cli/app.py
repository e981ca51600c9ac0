"""The command `newsletter NOUN VERB`."""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError

from newsletter.cli import (
    audit,
    broadcasts,
    config,
    database,
    demo,
    directory,
    dkim,
    init,
    issues,
    lists,
    newsletters,
    output,
    relays,
    report,
    segments,
    send,
    serve,
    state,
    subscribers,
    suppressions,
    tokens,
    unsubscribes,
    users,
)
from newsletter.core.errors import ConfigurationError, NewsletterError

_LONGEST_NAME = 300

app = typer.Typer(
    name="newsletter",
    help="Write an issue, send it to your lists, and account for every recipient.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(init.init)
app.command()(demo.demo)
app.command()(serve.serve)
app.command()(serve.worker)
app.add_typer(newsletters.app, name="newsletters")
app.add_typer(issues.app, name="issues")
app.add_typer(subscribers.app, name="subscribers")
subscribers.app.command("list")(directory.list_)
app.add_typer(lists.app, name="lists")
app.add_typer(segments.app, name="segments")
app.add_typer(suppressions.app, name="suppressions")
app.add_typer(unsubscribes.app, name="unsubscribes")
app.command()(send.send)
app.add_typer(broadcasts.app, name="broadcasts")
app.add_typer(relays.app, name="relays")
app.command()(report.report)
app.add_typer(users.app, name="users")
app.add_typer(tokens.app, name="tokens")
app.add_typer(audit.app, name="audit")
app.add_typer(database.app, name="db")
app.add_typer(config.app, name="config")
app.add_typer(dkim.app, name="dkim")


@app.callback()
def _options(
    config: Annotated[
        Path | None,
        typer.Option(envvar="NEWSLETTER_CONFIG", help="Settings file. Default: newsletter.toml."),
    ] = None,
) -> None:
    state.settings_file.set(config)


def main() -> None:
    """Run the command; a person's mistake ends in one sentence and exit code 1 or 2."""
    output.show_everything()
    _check_arguments()
    try:
        app()
    except ConfigurationError as error:
        _end(error, 2)
    except NewsletterError as error:
        _end(error, 1)
    except DBAPIError as error:
        if not _is_about_the_database_itself(error):
            raise
        _end(f"database: {' '.join(str(error.orig).split())}", 2)
    except OSError as error:
        if error.filename is None:
            raise
        _end(f"{str(error.filename)[:_LONGEST_NAME]}: {error.strerror}", 1)


def _check_arguments() -> None:
    """Before anything is done with them: bytes that are no text can be neither kept nor shown."""
    try:
        "".join(sys.argv[1:]).encode()
    except UnicodeEncodeError:
        _end("arguments: expected UTF-8", 2)


def _end(problem: object, code: int) -> NoReturn:
    output.problem(f"error: {problem}")
    sys.exit(code)


def _is_about_the_database_itself(error: DBAPIError) -> bool:
    """It is not there, lets nobody in, is full or broken; anything else is a mistake of ours."""
    is_connecting = error.statement is None
    return is_connecting or isinstance(error, OperationalError) or type(error) is DatabaseError
