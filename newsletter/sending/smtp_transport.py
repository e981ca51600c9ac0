"""A configured relay as a Transport; `newsletter.mail.smtp` opens its connections."""

from collections.abc import Sequence

from newsletter.core.errors import ConfigurationError
from newsletter.core.sections import RelaySettings
from newsletter.core.sentences import say
from newsletter.mail import smtp
from newsletter.mail.smtp import Server, Timeouts
from newsletter.sending.relay_url import RelayUrl
from newsletter.sending.transport import Transport


class SmtpTransport:
    """One relay, by its URL; see `relay_url` for what that may say.

    Attributes:
        pipelining: set to False where the relay was found to offer it and break it.

    Raises:
        ConfigurationError: the URL, or the authority's file it names.
    """

    def __init__(self, relay: RelaySettings, timeouts: Timeouts | None = None) -> None:
        self._name = relay.name
        self._timeouts = timeouts or Timeouts()
        self.pipelining = True
        url = RelayUrl.parse(relay.url.get_secret_value(), place=f"relays.{relay.name}.url")
        self._server = Server(
            url.host,
            url.port,
            implicit_tls=url.implicit_tls,
            context=url.tls_context(),
            user=url.user,
            password=url.password,
        )

    @property
    def name(self) -> str:
        return self._name

    async def connect(self) -> smtp.Connection:
        return await smtp.connect(self._server, self._timeouts, pipelining=self.pipelining)


def transports_for(relays: Sequence[RelaySettings]) -> list[Transport]:
    """The transports of these relays, in the configured order.

    Raises:
        ConfigurationError: none is configured; says what to put where.
    """
    if not relays:
        raise ConfigurationError(
            say(
                "no relay is configured: put into newsletter.toml\n"
                '  [[relays]]\n  name = "main"\n  url = "smtp://USER:PASSWORD@HOST:587"'
            )
        )
    return [SmtpTransport(relay) for relay in relays]
