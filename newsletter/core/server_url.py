"""What the URLs of mail servers say behind the address, alike for relays and mailboxes.

`?tls=none` does without TLS; `?ca=FILE` trusts the authority in that file alone.
"""

import ssl
from urllib.parse import SplitResult, parse_qsl

from newsletter.core.errors import ConfigurationError
from newsletter.core.sentences import say


def tls_options(parts: SplitResult, place: str) -> dict[str, str]:
    """The options `tls` and `ca`; anything else there is a password that was not encoded.

    Raises:
        ConfigurationError: names `place` and what there is, never the URL.
    """
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.fragment or options.keys() - {"tls", "ca"} or options.get("tls", "none") != "none":
        raise ConfigurationError(
            say("%(place)s: of ?options there are tls=none and ca=FILE", place=place)
        )
    return options


def tls_context(authority: str | None, place: str) -> ssl.SSLContext:
    """What checks a server's certificate and name.

    Raises:
        ConfigurationError: names `place`; the authority's file cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=authority)
    except OSError as error:
        problem = error.strerror or error
        raise ConfigurationError(
            say(
                "%(place)s: ?ca=%(authority)s: %(problem)s",
                place=place,
                authority=authority,
                problem=problem,
            )
        ) from None
