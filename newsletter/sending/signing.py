"""Which DKIM keys sign whose mail: from the settings, read once per process."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from newsletter.core import logs
from newsletter.core.config import Settings
from newsletter.core.errors import ConfigurationError
from newsletter.core.sections import DkimSettings
from newsletter.core.sentences import quoted, say
from newsletter.mail import dkim_keys
from newsletter.mail.address import Address
from newsletter.mail.dkim import Signer
from newsletter.mail.dkim_keys import DkimKeyError
from newsletter.rendering.compiled import SenderIdentity

log = logs.get(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Keyring:
    """Every configured key; two are never equal, so that one can stand in a cache's key cheaply."""

    entries: Sequence[tuple[DkimSettings, Signer]]

    def signers(self, identity: SenderIdentity) -> Sequence[Signer]:
        """The keys for this newsletter's mail; those that name it before those for all.

        A key for all signs for its own domain only; one that names the newsletter may be of a
        domain above the sender's, which DMARC takes as aligned too.
        """
        slug = identity.newsletter_slug
        domain = Address.parse(identity.sender_address, place="sender.address").domain
        own = [
            signer
            for entry, signer in self.entries
            if entry.newsletter == slug and f".{domain}".endswith(f".{signer.domain}")
        ]
        return own or [
            signer
            for entry, signer in self.entries
            if not entry.newsletter and signer.domain == domain
        ]


def ready_to_sign(settings: Settings) -> None:
    """Read every key now, so that a wrong one stops the start; short ones are logged.

    Raises:
        ConfigurationError: as `keyring_of`.
    """
    for _, signer in keyring_of(settings).entries:
        if dkim_keys.is_short(signer.key):
            log.warning("dkim.short_key", domain=signer.domain, selector=signer.selector)


def keyring_of(settings: Settings) -> Keyring:
    """The keys of these settings; changed files are read by the next process.

    Raises:
        ConfigurationError: names the entry or its file, and what was expected.
    """
    return _keyring(settings.dkim)


@lru_cache(maxsize=8)
def _keyring(entries: tuple[DkimSettings, ...]) -> Keyring:
    return Keyring([(entry, _signer(entry, number)) for number, entry in enumerate(entries)])


def _signer(entry: DkimSettings, number: int) -> Signer:
    pem, place = _pem(entry, f"dkim.{number}")
    try:
        key = dkim_keys.read(pem, place=place)
    except DkimKeyError as error:
        raise ConfigurationError(quoted(error)) from None
    return Signer(entry.domain, entry.selector, key)


def _pem(entry: DkimSettings, place: str) -> tuple[bytes, str]:
    """What should be a key, and where it stands."""
    if entry.key is not None:
        return entry.key.get_secret_value().encode(), f"{place}.key"
    assert entry.key_file is not None, "the settings have either"
    place = f"{place}.key_file ({entry.key_file})"
    try:
        return entry.key_file.read_bytes(), place
    except OSError as error:
        raise ConfigurationError(
            say("%(place)s: cannot be read: %(strerror)s", place=place, strerror=error.strerror)
        ) from None
