"""Settings from one TOML file and the environment; everything works with neither.

The environment wins: `NEWSLETTER_SITE__BASE_URL` overrides `base_url` in `[site]`.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from pydantic import ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from newsletter.core import environment
from newsletter.core.environment import Environment
from newsletter.core.errors import ConfigurationError
from newsletter.core.sections import (
    BounceSettings,
    BrokerSettings,
    DatabaseSettings,
    DeliverySettings,
    DkimSettings,
    LogSettings,
    RelaySettings,
    RetentionSettings,
    SenderSettings,
    SignUpSettings,
    SiteSettings,
    TemplateSettings,
    TrackingSettings,
)
from newsletter.core.sentences import say

DEFAULT_FILE = Path("newsletter.toml")
_PEM_LINE_CHARACTERS = 16
"""A shorter line of a key tells nothing, and might be masked where it means something else."""
_SHORTEST_PASSWORD = 4
_SHORTEST_USER_KEY = 16


class Settings(BaseSettings):
    """All settings, validated."""

    model_config = SettingsConfigDict(
        env_prefix=environment.PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    database: DatabaseSettings = DatabaseSettings()
    broker: BrokerSettings = BrokerSettings()
    site: SiteSettings = SiteSettings()
    relays: tuple[RelaySettings, ...] = ()
    sender: SenderSettings = SenderSettings()
    tracking: TrackingSettings = TrackingSettings()
    delivery: DeliverySettings = DeliverySettings()
    dkim: tuple[DkimSettings, ...] = ()
    retention: RetentionSettings = RetentionSettings()
    signup: SignUpSettings = SignUpSettings()
    bounces: BounceSettings = BounceSettings()
    templates: TemplateSettings = TemplateSettings()
    log: LogSettings = LogSettings()

    @field_validator("relays")
    @classmethod
    def _of_different_names(cls, relays: tuple[RelaySettings, ...]) -> tuple[RelaySettings, ...]:
        names = [relay.name for relay in relays]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"expected relays of different names, found {name!r} twice")
        return relays

    @model_validator(mode="after")
    def _broker_needs_postgresql(self) -> Self:
        if not self.embedded and self.database.is_sqlite:
            raise ValueError(
                "broker.url is set but database.url is SQLite: several workers need PostgreSQL "
                "(SQLite lets one process write at a time); set database.url or remove broker.url"
            )
        return self

    @property
    def embedded(self) -> bool:
        """One process does everything: there is no broker."""
        return not self.broker.url.get_secret_value()

    def secrets(self) -> tuple[str, ...]:
        """Every secret value, for masking in logs: keys, URLs, and the credentials in these."""
        keys = [self.site.secret_key, *self.site.secret_keys_old, self.site.erasure_key]
        urls = [self.broker.url, self.bounces.mailbox, *(relay.url for relay in self.relays)]
        if not self.database.is_sqlite:
            urls.append(self.database.url)
        secrets = [secret.get_secret_value() for secret in (*keys, *urls) if secret is not None]
        for url in urls:
            secrets += _credentials(url.get_secret_value())
        return tuple(filter(None, [*secrets, *self._key_lines()]))

    def _key_lines(self) -> Iterator[str]:
        """Keys line by line: a log may write their line breaks in other ways."""
        for entry in self.dkim:
            for line in entry.key.get_secret_value().splitlines() if entry.key else ():
                if len(line) >= _PEM_LINE_CHARACTERS and not line.startswith("-----"):
                    yield line

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment first, then the file; nothing else is read."""
        del env_settings, dotenv_settings, file_secret_settings
        return Environment(settings_cls), init_settings


class FixedSettings(Settings):
    """Settings that nothing around them changes: no environment, no file."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *others: PydanticBaseSettingsSource,
        **named: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del settings_cls, others, named
        return (init_settings,)


def _credentials(url: str) -> list[str]:
    """Password and user of a URL, as they stand there.

    A name short enough to be a word, such as `newsletter`, is none of a secret's business; some
    providers' user names are keys.
    """
    _, found, rest = url.partition("://")
    userinfo, at, _ = rest.rpartition("@")
    user, _, password = userinfo.partition(":")
    if not (found and at):
        return []
    return [
        part
        for part, shortest in ((password, _SHORTEST_PASSWORD), (user, _SHORTEST_USER_KEY))
        if len(part) >= shortest
    ]


def load_settings(file: Path | None = None) -> Settings:
    """Settings from `file` (default: `newsletter.toml`, if it is there) and the environment.

    Raises:
        ConfigurationError: names the file or variable, the key, and what was expected.
    """
    path = file or DEFAULT_FILE
    try:
        text = path.read_text(encoding="utf-8") if file or path.exists() else ""
    except OSError as error:
        raise ConfigurationError(
            say("%(path)s: cannot be read: %(strerror)s", path=path, strerror=error.strerror)
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            say("%(path)s: expected TOML: %(error)s", path=path, error=error)
        ) from None
    return read_settings(text, path)


def read_settings(text: str, path: Path) -> Settings:
    """Settings from the text of a file, whether it is there yet or not, and the environment.

    Raises:
        ConfigurationError: as `load_settings`.
    """
    environment.refuse_unknown(Settings.model_fields)
    try:
        return Settings(**tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(
            say("%(path)s: expected TOML: %(error)s", path=path, error=error)
        ) from None
    except ValidationError as error:
        problems = "; ".join(f"{environment.place(e['loc'])}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(
            say("settings (%(path)s and NEWSLETTER_…): %(problems)s", path=path, problems=problems)
        ) from None
