"""Which domains sign-ups are not taken for: throw-away mailboxes, and those that take no mail."""

from collections.abc import Iterator

import anyio
from anyio import CapacityLimiter, to_thread
from dns.exception import DNSException
from dns.resolver import NXDOMAIN, NoAnswer, NoResolverConfiguration, Resolver
from email_validator import EmailUndeliverableError, caching_resolver, validate_email

from newsletter.core.sections import SignUpSettings
from newsletter.core.sentences import Sentence, say

PATIENCE_SECONDS = 2
_THREADS = 16
"""Of their own: nameservers that are slow on purpose keep nobody else waiting."""


class MailDomains:
    """Asks DNS in threads of its own, and remembers for as long as the answers say."""

    def __init__(self, settings: SignUpSettings) -> None:
        self._settings = settings
        self._resolver = _resolver(settings)
        self._threads = CapacityLimiter(_THREADS)

    async def objection(self, domain: str) -> Sentence | None:
        """Why this domain, a lower-case A-label, is not taken; None: it is.

        Whatever cannot be found out within `PATIENCE_SECONDS` speaks for the domain.
        """
        if self._is_refused(domain):
            return say(
                "Mailboxes at %(domain)s are thrown away. Please use an address that you keep.",
                domain=domain,
            )
        takes_mail = True
        with anyio.move_on_after(PATIENCE_SECONDS):
            takes_mail = await to_thread.run_sync(
                self._takes_mail, domain, abandon_on_cancel=True, limiter=self._threads
            )
        if takes_mail:
            return None
        return say("%(domain)s takes no mail. Is it spelt as it should be?", domain=domain)

    def _is_refused(self, domain: str) -> bool:
        # A fifth of a megabyte of names: nobody but a sign-up needs them.
        from disposable_email_domains import blocklist

        known = blocklist if self._settings.refuse_disposable else ()
        return any(
            name in known or name in self._settings.refused_domains
            for name in _with_parents(domain)
        )

    def _takes_mail(self, domain: str) -> bool:
        if self._resolver is None:
            return True
        try:
            validate_email(f"postmaster@{domain}", dns_resolver=self._resolver)
        except EmailUndeliverableError as error:
            # Whatever went wrong on the way is wrapped into the same error as an answer is.
            return not isinstance(error.__cause__, NXDOMAIN | NoAnswer | None)
        return True


def _resolver(settings: SignUpSettings) -> Resolver | None:
    if not settings.check_dns:
        return None
    if settings.nameserver is None:
        try:
            return caching_resolver(timeout=PATIENCE_SECONDS)
        except (NoResolverConfiguration, DNSException):
            return None  # a machine without a nameserver: nothing can be found out
    asked = Resolver(configure=False)
    asked.nameservers, asked.port = [str(settings.nameserver)], settings.nameserver_port
    return caching_resolver(timeout=PATIENCE_SECONDS, dns_resolver=asked)


def _with_parents(domain: str) -> Iterator[str]:
    labels = domain.split(".")
    return (".".join(labels[start:]) for start in range(len(labels) - 1))
