"""A password for a command: asked for twice, or the first line of standard input; no argument."""

import sys

import typer

from newsletter.accounts import passwords


def ask_for_password(address: str) -> str:
    """What becomes the password of the account with this address.

    Raises:
        InputError: it may not be one.
    """
    if sys.stdin.isatty():
        typed = str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    else:
        typed = sys.stdin.readline().rstrip("\r\n")
    passwords.check(typed, address)
    return typed
