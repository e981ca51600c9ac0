"""The command `newsletter NOUN VERB`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from newsletter.cli import (
    broadcasts,
    config,
    database,
    demo,
    dkim,
    init,
    issues,
    lists,
    output,
    relays,
    report,
    send,
    serve,
    state,
    subscribers,
    suppressions,
)
from newsletter.core.errors import ConfigurationError, NewsletterError

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
app.add_typer(issues.app, name="issues")
app.add_typer(subscribers.app, name="subscribers")
app.add_typer(lists.app, name="lists")
app.add_typer(suppressions.app, name="suppressions")
app.command()(send.send)
app.add_typer(broadcasts.app, name="broadcasts")
app.add_typer(relays.app, name="relays")
app.command()(report.report)
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
    try:
        app()
    except ConfigurationError as error:
        output.problem(f"error: {error}")
        sys.exit(2)
    except NewsletterError as error:
        output.problem(f"error: {error}")
        sys.exit(1)
