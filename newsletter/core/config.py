"""Settings from one TOML file and the environment; everything works with neither.

The environment wins: `NEWSLETTER_SITE__BASE_URL` overrides `base_url` in `[site]`.
"""

import tomllib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    IPvAnyNetwork,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from newsletter.core.errors import ConfigurationError

DEFAULT_FILE = Path("newsletter.toml")
DOMAIN = r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9][a-z0-9-]*[a-z0-9]$"
SELECTOR = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$"
SELECTOR_CHARACTERS = 63
_PEM_LINE_CHARACTERS = 16
"""A shorter line of a key tells nothing, and might be masked where it means something else."""


class TrackingMode(StrEnum):
    """What a broadcast may learn about its readers; also the answer for readers who never said."""

    OFF = "off"
    AGGREGATE = "aggregate"
    INDIVIDUAL = "individual"


class OnInDoubt(StrEnum):
    """What becomes of a recipient of whom nobody can know whether the relay took the mail."""

    HOLD = "hold"
    """Nothing by itself: a person decides, or the reader proves it."""
    ASSUME_ACCEPTED = "assume_accepted"
    """Better left out than mailed twice, and no list to look through."""
    RESEND = "resend"
    """Better mailed twice than left out; once, and not after the issue has gone stale."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class DatabaseSettings(_Section):
    """Where everything is kept."""

    url: SecretStr = SecretStr("sqlite:///var/newsletter.db")

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_secret_value().startswith("sqlite")

    @property
    def sqlite_path(self) -> Path | None:
        """The database file, or None when the database is not a SQLite file."""
        prefix = "sqlite:///"
        url = self.url.get_secret_value()
        return Path(url.removeprefix(prefix)) if url.startswith(prefix) else None


class BrokerSettings(_Section):
    """The queue that rings for workers; empty: one process does everything."""

    url: SecretStr = SecretStr("")


class SiteSettings(_Section):
    """How readers reach this installation."""

    base_url: HttpUrl | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    trusted_proxies: tuple[IPvAnyNetwork, ...] = ()
    secret_key: SecretStr | None = None
    secret_key_file: Path | None = None
    """Read where `secret_key` is not set; made, once, by the process that comes first."""
    secret_keys_old: tuple[SecretStr, ...] = ()

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value()) < 32:  # noqa: PLR2004
            raise ValueError(
                "expected at least 32 characters, such as `openssl rand -hex 32` makes"
            )
        return key

    @property
    def public_url(self) -> str:
        """The address readers use, without a trailing slash."""
        return str(self.base_url or f"http://{self.host}:{self.port}").rstrip("/")


class RelaySettings(_Section):
    """One SMTP provider.

    `smtps://` speaks TLS from the first byte (port 465); `smtp://` requires STARTTLS
    (port 587) unless the URL ends in `?tls=none`.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")]
    url: SecretStr
    connections: Annotated[int, Field(ge=1, le=100)] = 4
    """How many connections all workers together hold to it."""
    messages_per_connection: Annotated[int, Field(ge=1)] | None = None
    """After so many a connection is closed and another opened; None: as many as it takes."""
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Messages per second, over all workers; None: as fast as it takes them."""
    burst: Annotated[int, Field(ge=1)] | None = None
    """How many may go at once after a pause; None: a second's worth."""

    @model_validator(mode="after")
    def _burst_needs_rate(self) -> Self:
        if self.burst is not None and self.rate is None:
            raise ValueError("burst is set but rate is not: without a rate nothing is held back")
        return self


class SenderSettings(_Section):
    """Who a new newsletter's mail comes from; kept in the database from then on."""

    name: str = ""
    address: str = ""
    postal_address: str = ""


class TrackingSettings(_Section):
    """The tracking mode of a new newsletter, and what applies to readers who never said."""

    default_mode: TrackingMode = TrackingMode.INDIVIDUAL
    unknown: TrackingMode = TrackingMode.AGGREGATE


class DeliverySettings(_Section):
    """How long and how often the engine tries."""

    retry_after_seconds: tuple[Annotated[int, Field(gt=0)], ...] = (300, 900, 3600, 14400, 43200)
    stale_after_hours: Annotated[float, Field(gt=0)] = 24
    connections: Annotated[int, Field(ge=1, le=200)] = 24
    """How many connections one process holds at most, to whichever relay."""
    lease_seconds: Annotated[int, Field(ge=5)] = 120
    """How long a claimed row stays with a worker that gives no sign of life."""
    on_in_doubt: OnInDoubt = OnInDoubt.HOLD
    """Frozen with each broadcast; `send --on-in-doubt` says otherwise for one."""


class DkimSettings(_Section):
    """A key that signs the mail of one domain; a domain may have several."""

    domain: Annotated[str, Field(pattern=DOMAIN)]
    """The sender's domain, lower case, as A-label; what verifiers look up is below it."""
    selector: Annotated[str, Field(pattern=SELECTOR, max_length=SELECTOR_CHARACTERS)]
    key: SecretStr | None = None
    """The private key itself, as PEM."""
    key_file: Path | None = None
    newsletter: str = ""
    """A newsletter's slug: this key signs its mail alone. Empty: every newsletter's."""

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if (self.key is None) == (self.key_file is None):
            raise ValueError("expected either key_file or key")
        return self


class RetentionSettings(_Section):
    """How long it is kept who got what."""

    deliveries_days: Annotated[int, Field(ge=1)] = 365
    """After its end, before `newsletter db prune` takes a broadcast's rows; figures stay."""


class TemplateSettings(_Section):
    """An operator's own templates, looked at before the shipped ones."""

    dir: Path | None = None


class LogSettings(_Section):
    """What is written to standard error."""

    level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = "warning"
    json_lines: bool = False


class Settings(BaseSettings):
    """All settings, validated."""

    model_config = SettingsConfigDict(
        env_prefix="NEWSLETTER_",
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
    templates: TemplateSettings = TemplateSettings()
    log: LogSettings = LogSettings()

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
        """Every secret value, for masking in logs."""
        maybe = [
            self.database.url if not self.database.is_sqlite else None,
            self.broker.url,
            self.site.secret_key,
            *self.site.secret_keys_old,
            *(relay.url for relay in self.relays),
        ]
        whole = (s.get_secret_value() for s in maybe if s is not None and s.get_secret_value())
        return (*whole, *self._key_lines())

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
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


def load_settings(file: Path | None = None) -> Settings:
    """Settings from `file` (default: `newsletter.toml`, if it is there) and the environment.

    Raises:
        ConfigurationError: names the file or variable, the key, and what was expected.
    """
    path = file or DEFAULT_FILE
    try:
        return Settings(**_read_toml(path, required=file is not None))
    except ValidationError as error:
        problems = "; ".join(f"{_dotted(e['loc'])}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(f"settings ({path} and NEWSLETTER_…): {problems}") from None
    except SettingsError as error:
        raise ConfigurationError(f"settings (NEWSLETTER_…): {error}: expected JSON") from None


def _read_toml(path: Path, *, required: bool) -> dict[str, Any]:
    if not path.exists() and not required:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: expected TOML: {error}") from None


def _dotted(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "settings"
