"""`newsletter init`: the first five minutes."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from newsletter.cli import output, state
from newsletter.core.config import DEFAULT_FILE, read_settings
from newsletter.core.errors import InputError, RefusedError
from newsletter.core.sentences import say
from newsletter.mail.address import Address
from newsletter.sending.relay_url import RelayUrl

_TEMPLATE = """\
# Settings of this installation; every key can also be set in the environment,
# such as NEWSLETTER_SITE__BASE_URL. `newsletter config show` prints what they come to.

[site]
base_url = {base_url}          # where readers reach `newsletter serve`

[sender]                       # the default of a new newsletter
name = {name}
address = {address}
postal_address = {postal_address}

[[relays]]                     # your SMTP provider; smtp:// requires STARTTLS, smtps:// is TLS
name = "main"
url = {relay}
"""


def init(
    *,
    name: Annotated[str, typer.Option(prompt="Newsletter name", help="Shown as the sender.")],
    address: Annotated[str, typer.Option(prompt="Sender address", help="Your own domain.")],
    postal_address: Annotated[
        str, typer.Option(prompt="Postal address", help="The law wants one in every mail.")
    ],
    base_url: Annotated[
        str | None, typer.Option(help="Where readers reach the pages. Default: asked for.")
    ] = None,
    relay: Annotated[
        str | None, typer.Option(help="As smtp://USER:PASSWORD@HOST:587. Default: asked for.")
    ] = None,
    dry_run: output.DryRun = False,
) -> None:
    """Write newsletter.toml and make the database. Never overwrites a file."""
    if DEFAULT_FILE.exists():
        raise RefusedError(
            say(
                "%(file)s is there already; edit it, or move it away first",
                file=DEFAULT_FILE,
            )
        )
    relay = relay or _ask("SMTP relay URL", "smtp://127.0.0.1:1025?tls=none")
    text = _TEMPLATE.format(
        base_url=_quoted(base_url or _ask("Public URL", "http://127.0.0.1:8000")),
        name=_quoted(name),
        address=_quoted(Address.parse(address, place="--address").typed),
        postal_address=_quoted(postal_address),
        relay=_quoted(relay),
    )
    read_settings(text, DEFAULT_FILE)
    RelayUrl.parse(relay, place="--relay")
    if dry_run:
        output.say(f"Would write {DEFAULT_FILE}:\n\n{text}")
        return
    _write_private(DEFAULT_FILE, text)
    state.runtime()
    output.say(
        f"Wrote {DEFAULT_FILE} and made the database.\n"
        "Next: `newsletter lists create Readers`, "
        "`newsletter subscribers import FILE --list readers`, `newsletter issues new`."
    )


def _ask(question: str, default: str) -> str:
    """A person's answer; without a person, the default."""
    return str(typer.prompt(question, default=default)) if sys.stdin.isatty() else default


def _write_private(path: Path, text: str) -> None:
    """Readable by its owner alone: the relay's URL may carry a password."""
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(text, encoding="utf-8")


def _quoted(text: str) -> str:
    """A TOML basic string: as in JSON, but DEL is escaped too.

    Raises:
        InputError: bytes of the command line that are no text.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(ascii(text), say("expected text in UTF-8")) from None
    return json.dumps(text, ensure_ascii=False).replace("\x7f", r"\u007f")
