"""A mailbox's URL: where it is, how the way there is secured, who we are to it."""

import ssl
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Self
from urllib.parse import unquote, urlsplit

from newsletter.core import server_url
from newsletter.core.errors import ConfigurationError
from newsletter.core.sentences import say

PLACE = "bounces.mailbox"
_EXPECTED = say(
    "expected imaps://USER:PASSWORD@HOST/FOLDER or pop3s://… (special characters as %%XX)"
)
_PORTS = {"imap": 143, "imaps": 993, "pop3": 110, "pop3s": 995}


@dataclass(frozen=True, slots=True)
class MailboxUrl:
    """`imaps://` and `pop3s://` speak TLS from the first byte; `imap://` and `pop3://` upgrade.

    `?tls=none` does without TLS; `?ca=FILE` trusts the authority in that file alone. Certificate
    and host name are always checked. POP3 knows no folders.
    """

    scheme: str
    host: str
    port: int
    folder: str
    without_tls: bool
    authority: str | None
    user: str = field(repr=False)
    password: str = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read a URL; percent signs in user, password and folder are decoded.

        Raises:
            ConfigurationError: says what was expected, never the URL, which holds a password.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
            user, password = unquote(parts.username or ""), unquote(parts.password or "")
        except ValueError:
            raise ConfigurationError(
                say("%(place)s: %(expected)s", place=PLACE, expected=_EXPECTED)
            ) from None
        if parts.scheme not in _PORTS or not parts.hostname or not user or not password:
            raise ConfigurationError(
                say("%(place)s: %(expected)s", place=PLACE, expected=_EXPECTED)
            )
        options = server_url.tls_options(parts, PLACE)
        without_tls = options.get("tls") == "none"
        if without_tls and parts.scheme.endswith("s"):
            raise ConfigurationError(
                say(
                    "%(place)s: %(scheme)s:// is TLS, so no ?tls=none",
                    place=PLACE,
                    scheme=parts.scheme,
                )
            )
        folder = unquote(parts.path.strip("/"))
        if folder and parts.scheme.startswith("pop3"):
            raise ConfigurationError(say("%(place)s: POP3 knows no folders", place=PLACE))
        return cls(
            parts.scheme,
            parts.hostname,
            port or _PORTS[parts.scheme],
            folder or "INBOX",
            without_tls,
            options.get("ca"),
            user,
            password,
        )

    @property
    def key(self) -> str:
        """The same for the same mailbox, whatever its password."""
        what = f"{self.scheme[:4]} {self.user} {self.host} {self.port} {self.folder}"
        return sha256(what.encode()).hexdigest()

    def tls_context(self) -> ssl.SSLContext | None:
        """What checks the server's certificate and name; None where TLS is done without.

        Raises:
            ConfigurationError: the authority's file cannot be read.
        """
        return None if self.without_tls else server_url.tls_context(self.authority, PLACE)
