"""What a command needs from the system: settings, the running system, people's input."""

from pathlib import Path

import click

from newsletter.core.config import Settings, load_settings
from newsletter.core.runtime import Runtime, open_runtime
from newsletter.migrations import schema


def settings() -> Settings:
    """The settings of this call, from `--config`, `newsletter.toml` and the environment."""
    file: Path | None = click.get_current_context().find_root().params.get("config")
    return load_settings(file)


def runtime() -> Runtime:
    """The running system with current tables; on SQLite they are made or upgraded here."""
    opened = open_runtime(settings())
    schema.prepare(opened.sessions)
    return opened
