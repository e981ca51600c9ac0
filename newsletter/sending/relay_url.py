"""A relay's URL: where it listens, how the way there is secured, who we are to it."""

import ssl
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote, urlsplit

from newsletter.core import server_url
from newsletter.core.errors import ConfigurationError
from newsletter.core.sections import RelaySettings
from newsletter.core.sentences import say

_EXPECTED = say("expected smtp://USER:PASSWORD@HOST:PORT or smtps://… (special characters as %%XX)")


@dataclass(frozen=True, slots=True)
class RelayUrl:
    """`smtps://` speaks TLS from the first byte; `smtp://` requires STARTTLS.

    `?tls=none` does without TLS; `?ca=FILE` trusts the authority in that file alone. Certificate
    and host name are always checked.
    """

    host: str
    port: int
    implicit_tls: bool
    without_tls: bool
    authority: str | None
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str, *, place: str) -> Self:
        """Read a URL; percent signs in user and password are decoded.

        Raises:
            ConfigurationError: names `place` and what was expected, never the URL, which may hold
                a password.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
            credentials = unquote(parts.username or ""), unquote(parts.password or "")
        except ValueError:
            raise ConfigurationError(
                say("%(place)s: %(expected)s", place=place, expected=_EXPECTED)
            ) from None
        implicit_tls = parts.scheme == "smtps"
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ConfigurationError(
                say("%(place)s: %(expected)s", place=place, expected=_EXPECTED)
            )
        if not "".join(credentials).isascii():
            raise ConfigurationError(
                say("%(place)s: user and password are expected in ASCII", place=place)
            )
        if parts.path not in ("", "/") or parts.fragment:
            raise ConfigurationError(
                say("%(place)s: %(expected)s", place=place, expected=_EXPECTED)
            )
        options = server_url.tls_options(parts, place)
        without_tls = options.get("tls") == "none"
        if without_tls and implicit_tls:
            raise ConfigurationError(
                say("%(place)s: smtps:// is TLS; ?tls=none goes with smtp://", place=place)
            )
        return cls(
            parts.hostname,
            port or (465 if implicit_tls else 587),
            implicit_tls,
            without_tls,
            options.get("ca"),
            *credentials,
        )

    def tls_context(self) -> ssl.SSLContext | None:
        """What checks the relay's certificate and name; None where TLS is done without.

        Raises:
            ConfigurationError: the authority's file cannot be read.
        """
        place = f"relay {self.host}"
        return None if self.without_tls else server_url.tls_context(self.authority, place)


def server_of(relay: RelaySettings) -> str:
    """Host and port, never the credentials.

    Raises:
        ConfigurationError: the relay's URL.
    """
    url = RelayUrl.parse(relay.url.get_secret_value(), place=f"relays.{relay.name}.url")
    return f"{url.host}:{url.port}"
