"""What every entry point holds: settings, transactions, keys."""

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from newsletter.core import logs
from newsletter.core.config import Settings
from newsletter.core.db import Sessions, connect
from newsletter.core.erasure_key import ErasureKey
from newsletter.core.errors import ConfigurationError
from newsletter.core.sentences import say
from newsletter.core.tokens import TokenKeys


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the running system needs, made once per process."""

    settings: Settings
    sessions: Sessions
    keys: TokenKeys
    erasure_key: ErasureKey | None = None
    """None where PostgreSQL is used and none is configured: then nobody can be erased."""


def open_runtime(settings: Settings) -> Runtime:
    """Connect, find or make the secret key, configure logs.

    Raises:
        ConfigurationError: no secret key where one process cannot make it for all.
    """
    key, erasure_key = _secret_key(settings), _erasure_key(settings)
    logs.configure(
        level=settings.log.level,
        json_lines=settings.log.json_lines,
        secrets=(*settings.secrets(), *filter(None, (key, erasure_key))),
    )
    sessions = connect(settings.database.url.get_secret_value())
    old = [secret.get_secret_value() for secret in settings.site.secret_keys_old]
    return Runtime(
        settings,
        sessions,
        TokenKeys.from_secrets(key, old),
        ErasureKey(erasure_key.encode()) if erasure_key else None,
    )


def _secret_key(settings: Settings) -> str:
    site = settings.site
    if site.secret_key is not None:
        return site.secret_key.get_secret_value()
    if site.secret_key_file is not None:
        return _kept_in(site.secret_key_file)
    folder = _own_folder(settings)
    if folder is None:
        raise ConfigurationError(
            say(
                "site.secret_key is not set: with PostgreSQL every process needs the same one; put "
                "the output of `openssl rand -hex 32` into NEWSLETTER_SITE__SECRET_KEY, or the "
                "path of a file that all processes share into NEWSLETTER_SITE__SECRET_KEY_FILE"
            )
        )
    return _kept_in(folder / "secret_key")


def _erasure_key(settings: Settings) -> str | None:
    site, folder = settings.site, _own_folder(settings)
    if site.erasure_key is not None:
        return site.erasure_key.get_secret_value()
    if site.erasure_key_file is not None:
        return _kept_in(site.erasure_key_file)
    return _kept_in(folder / "erasure_key") if folder else None


def _own_folder(settings: Settings) -> Path | None:
    """Where keys may be kept beside the database: only one machine uses it."""
    database = settings.database.sqlite_path
    return database.parent if database and settings.embedded else None


def _kept_in(path: Path) -> str:
    """The key in that file; made by whoever comes first, readable by its owner.

    Raises:
        ConfigurationError: the file cannot be read or made, or holds no key.
    """
    try:
        _make_once(path)
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(say("key %(path)s: %(error)s", path=path, error=error)) from None
    if len(key) < 32:  # noqa: PLR2004 - as `site.secret_key`
        raise ConfigurationError(say("key %(path)s: expected at least 32 characters", path=path))
    return key


def _make_once(path: Path) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(secrets.token_hex(32) + "\n")
    with suppress(FileExistsError):
        os.link(draft, path)  # atomic, and never over a key that somebody else just made
    draft.unlink()
