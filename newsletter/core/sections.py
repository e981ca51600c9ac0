"""The sections of the settings: what each key means, and what it may be."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    IPvAnyAddress,
    IPvAnyNetwork,
    SecretStr,
    field_validator,
    model_validator,
)

from newsletter.core.database_url import check_database_url

DOMAIN = r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9][a-z0-9-]*[a-z0-9]$"
SELECTOR = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$"
SELECTOR_CHARACTERS = 63
_YEAR_HOURS = 24 * 365
MAILBOX_SCHEMES = ("imap://", "imaps://", "pop3://", "pop3s://")


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


def _of_a_known_database(url: SecretStr) -> SecretStr:
    check_database_url(url.get_secret_value())
    return url


class DatabaseSettings(_Section):
    """Where everything is kept."""

    url: Annotated[SecretStr, AfterValidator(_of_a_known_database)] = SecretStr(
        "sqlite:///var/newsletter.db"
    )

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
    erasure_key: SecretStr | None = None
    """Hashes the addresses of erased people; never changed, and kept with the backups."""
    erasure_key_file: Path | None = None
    """Read where `erasure_key` is not set; made, once, by the process that comes first."""

    @field_validator("secret_key", "secret_keys_old", "erasure_key")
    @classmethod
    def _long_enough(
        cls, keys: SecretStr | tuple[SecretStr, ...] | None
    ) -> SecretStr | tuple[SecretStr, ...] | None:
        """An old key verifies links just as the current one does, so it is to be as good."""
        for key in keys if isinstance(keys, tuple) else (keys,):
            if key is not None and len(key.get_secret_value()) < 32:  # noqa: PLR2004 - said below
                raise ValueError(
                    "expected at least 32 characters, such as `openssl rand -hex 32` makes"
                )
        return keys

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

    retry_after_seconds: tuple[Annotated[int, Field(gt=0, le=3600 * _YEAR_HOURS)], ...] = (
        *(300, 900, 3600, 14400, 43200),
    )
    stale_after_hours: Annotated[float, Field(gt=0, le=_YEAR_HOURS)] = 24
    connections: Annotated[int, Field(ge=1, le=200)] = 24
    """How many connections one process holds at most, to whichever relay."""
    lease_seconds: Annotated[int, Field(ge=5, le=86_400)] = 120
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
    evidence_days: Annotated[int, Field(ge=1)] = 90
    """How long raw IP addresses and user agents stay with hits and consent."""
    audit_days: Annotated[int, Field(ge=1)] = 1095
    """How long the audit trail goes back."""
    unconfirmed_days: Annotated[int, Field(ge=1)] = 30
    """After they asked, before who never confirmed is forgotten."""
    imports_days: Annotated[int, Field(ge=1)] = 30
    """How long bad rows of an import can be fetched."""


_PerHour = Annotated[int, Field(ge=1)]


class SignUpSettings(_Section):
    """What the public sign-up forms put up with; all limits are per hour.

    Over a soft limit a proof of work is asked for, over a hard one nobody gets through.
    """

    ip_soft: _PerHour = 5
    ip_hard: _PerHour = 20
    network_soft: _PerHour = 20
    network_hard: _PerHour = 200
    domain_hard: _PerHour = 1_000
    """Of one recipient domain: whoever floods a mail system does it through many networks."""
    check_dns: bool = True
    """Ask whether a domain takes mail at all; an answer that does not come lets people through."""
    nameserver: IPvAnyAddress | None = None
    """None: the system's."""
    nameserver_port: Annotated[int, Field(ge=1, le=65535)] = 53
    refuse_disposable: bool = True
    """Domains known for throw-away mailboxes."""
    refused_domains: tuple[Annotated[str, Field(pattern=DOMAIN)], ...] = ()
    """The operator's own, lower case, as A-labels; with everything below them."""


class BounceSettings(_Section):
    """The mailbox that mail about our mail comes to."""

    domain: Annotated[str, Field(pattern=f"^$|{DOMAIN}")] = ""
    """Where its addresses are; lower case, as A-label."""
    prefix: Annotated[str, Field(pattern=r"^([a-z0-9._-]{0,16}\+)?$")] = ""
    """For a mailbox that takes plus-addresses, such as `news+`; empty: it takes every address."""
    mailbox: SecretStr = SecretStr("")
    """Where it is read, as `imaps://USER:PASSWORD@HOST/FOLDER`."""

    @field_validator("mailbox")
    @classmethod
    def _of_a_known_kind(cls, mailbox: SecretStr) -> SecretStr:
        url = mailbox.get_secret_value()
        if url and not url.startswith(MAILBOX_SCHEMES):
            raise ValueError(
                "expected imaps://USER:PASSWORD@HOST/FOLDER, imap://, pop3s:// or pop3://"
            )
        return mailbox

    @property
    def around_a_token(self) -> tuple[str, str] | None:
        """What stands before and behind a token in an address, and means itself in a URL too.

        None: no mailbox is kept.
        """
        if not self.domain or not self.mailbox.get_secret_value():
            return None
        return self.prefix, f"@{self.domain}"


class TemplateSettings(_Section):
    """An operator's own templates, looked at before the shipped ones."""

    dir: Path | None = None


class LogSettings(_Section):
    """What is written to standard error."""

    level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = "warning"
    json_lines: bool = False
