"""What a command needs from the system: settings, the running system, people's input."""

from contextvars import ContextVar
from pathlib import Path

from newsletter.core.config import Settings, load_settings
from newsletter.core.runtime import Runtime, open_runtime
from newsletter.migrations import schema

settings_file: ContextVar[Path | None] = ContextVar("settings_file", default=None)
"""What `--config` names."""


def settings() -> Settings:
    """The settings of this call, from `--config`, `newsletter.toml` and the environment."""
    return load_settings(settings_file.get())


def runtime() -> Runtime:
    """The running system with current tables; on SQLite they are made or upgraded here."""
    opened = open_runtime(settings())
    schema.prepare(opened.sessions)
    return opened
