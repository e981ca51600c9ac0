"""What every entry point holds: settings, transactions, keys."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from newsletter.core import logs
from newsletter.core.config import Settings
from newsletter.core.db import Sessions, connect
from newsletter.core.errors import ConfigurationError
from newsletter.core.tokens import TokenKeys


@dataclass(frozen=True, slots=True)
class Runtime:
    """The running system's three needs, made once per process."""

    settings: Settings
    sessions: Sessions
    keys: TokenKeys


def open_runtime(settings: Settings) -> Runtime:
    """Connect, find or make the secret key, configure logs.

    Raises:
        ConfigurationError: no secret key where one process cannot make it for all.
    """
    key = _secret_key(settings)
    logs.configure(
        level=settings.log.level,
        json_lines=settings.log.json_lines,
        secrets=(*settings.secrets(), key),
    )
    sessions = connect(settings.database.url.get_secret_value())
    old = [secret.get_secret_value() for secret in settings.site.secret_keys_old]
    return Runtime(settings, sessions, TokenKeys.from_secrets(key, old))


def _secret_key(settings: Settings) -> str:
    if settings.site.secret_key is not None:
        return settings.site.secret_key.get_secret_value()
    database = settings.database.sqlite_path
    if database is None or not settings.embedded:
        raise ConfigurationError(
            "site.secret_key is not set: with PostgreSQL every process needs the same one; "
            "put the output of `openssl rand -hex 32` into NEWSLETTER_SITE__SECRET_KEY"
        )
    return _key_beside(database)


def _key_beside(database: Path) -> str:
    """The key kept beside the SQLite file; made by whoever comes first, readable by its owner."""
    path = database.parent / "secret_key"
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".secret_key.{secrets.token_hex(8)}")
    if not path.exists():
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_hex(32) + "\n")
        try:
            os.link(draft, path)  # atomic, and never over a key that somebody else just made
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text(encoding="ascii").strip()
