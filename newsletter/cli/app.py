"""The command `newsletter NOUN VERB`."""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from newsletter.cli import output, state
from newsletter.cli.on_demand import OnDemand
from newsletter.core.errors import ConfigurationError, NewsletterError

_LONGEST_NAME = 300

app = typer.Typer(
    name="newsletter",
    cls=OnDemand,
    help="Write an issue, send it to your lists, and account for every recipient.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
    except OSError as error:
        if error.filename is None:
            raise
        _end(f"{str(error.filename)[:_LONGEST_NAME]}: {error.strerror}", 1)
    except Exception as error:
        said = _said_by_the_database(error)
        if said is None:
            raise
        _end(f"database: {said}", 2)


def _check_arguments() -> None:
    """Before anything is done with them: bytes that are no text can be neither kept nor shown."""
    try:
        "".join(sys.argv[1:]).encode()
    except UnicodeEncodeError:
        _end("arguments: expected UTF-8", 2)


def _end(problem: object, code: int) -> NoReturn:
    output.problem(f"error: {problem}")
    sys.exit(code)


def _said_by_the_database(error: Exception) -> str | None:
    """It is not there, lets nobody in, is full or broken; anything else is a mistake of ours."""
    from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError

    if not isinstance(error, DBAPIError):
        return None
    is_connecting = error.statement is None
    if is_connecting or isinstance(error, OperationalError) or type(error) is DatabaseError:
        return " ".join(str(error.orig).split())
    return None
