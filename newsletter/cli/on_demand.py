"""What stands behind `newsletter`: a command is imported when it is used, not to be listed."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

PURPOSES = {
    "init": "Write newsletter.toml and make the database. Never overwrites a file.",
    "demo": (
        "Send two sample issues to sample subscribers through a local SMTP catcher, and account."
    ),
    "serve": (
        "Run the web pages; without a broker also the sending and the schedule, in one process."
    ),
    "worker": "Send without Celery: the background of `serve`, alone. Ends on SIGTERM or Ctrl-C.",
    "send": "Check an issue, freeze it, and send it to every subscriber of its lists.",
    "report": "Accounting, clicks, unsubscribes, and opens by who or what was behind them.",
    "newsletters": "What is published here: identity and look.",
    "issues": "Write, check, render and store issues.",
    "subscribers": "The people on the lists.",
    "lists": "The lists people can be on.",
    "segments": "Filters over a list, such as 'status = active and tag = \"vip\"'.",
    "suppressions": "Addresses and domains that must not be mailed.",
    "unsubscribes": "Unsubscribes by mail, and why people leave.",
    "broadcasts": "Watch a sending and steer it.",
    "relays": "The SMTP providers: limits, health, pause.",
    "users": "Who works here, and how they come in.",
    "tokens": "API tokens; nothing takes them yet.",
    "audit": "What those who work here did to people.",
    "db": "Create, upgrade, check and prune the database's tables.",
    "config": "Look at the settings.",
    "dkim": "Make and show the keys that sign mail (DKIM).",
}
"""The commands in the order of `newsletter --help`, each with the help that it has itself."""
_MODULES = {"worker": "serve", "db": "database"}
"""Where a command's module is not called like it."""


class OnDemand(TyperGroup):
    """All commands; importing one takes up to a second, which the list of them does not."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: Any = _Commands()

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, without what they name."""
        del ctx
        return list(PURPOSES)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """As of a group whose commands do nothing but say what they are for."""
        listed: Any = {name: TyperCommand(name, help=said) for name, said in PURPOSES.items()}
        shown = TyperGroup(name=self.name, commands=listed, params=self.params, help=self.help)
        shown.format_help(ctx, formatter)


class _Commands(Mapping[str, Any]):
    def __getitem__(self, name: str) -> Any:
        if name not in PURPOSES:
            raise KeyError(name)
        return _imported(name)

    def __iter__(self) -> Iterator[str]:
        return iter(PURPOSES)

    def __len__(self) -> int:
        return len(PURPOSES)


@cache
def _imported(name: str) -> Any:
    """A noun is its module's `app`, a verb the function of its name."""
    module = import_module(f"newsletter.cli.{_MODULES.get(name, name)}")
    holder = typer.Typer()
    if hasattr(module, "app"):
        holder.add_typer(module.app, name=name)
    else:
        holder.command()(getattr(module, name))
    return typer.main.get_group(holder).commands[name]
