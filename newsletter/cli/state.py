"""What a command needs from the system: settings, the running system, people's input."""

from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from newsletter.core.config import Settings
    from newsletter.core.runtime import Runtime

settings_file: ContextVar[Path | None] = ContextVar("settings_file", default=None)
"""What `--config` names."""


def settings() -> "Settings":
    """The settings of this call, from `--config`, `newsletter.toml` and the environment."""
    from newsletter.core.config import load_settings

    return load_settings(settings_file.get())


def runtime() -> "Runtime":
    """The running system with current tables; on SQLite they are made or upgraded here."""
    from newsletter.core.runtime import open_runtime
    from newsletter.migrations import schema

    opened = open_runtime(settings())
    schema.prepare(opened.sessions)
    return opened
