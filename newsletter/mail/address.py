"""The one strict e-mail address: everything that mails or stores an address goes through it."""

import re
from dataclasses import dataclass
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email
from email_validator.rfc_constants import CASE_INSENSITIVE_MAILBOX_NAMES

from newsletter.core.errors import InputError
from newsletter.core.sentences import say
from newsletter.mail.address_words import in_words

MAX_CHARACTERS = 254
_MAX_LOCAL_CHARACTERS = 64
_ATOM = r"[a-zA-Z0-9_!#$%&'*+\-/=?^`{|}~]+"
_PLAIN = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@([a-zA-Z0-9.\-]+)")
_ROLES = frozenset(CASE_INSENSITIVE_MAILBOX_NAMES)
_KNOWN_DOMAINS = 10_000


class AddressError(InputError):
    """Text that is not an address we would mail."""


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox address, as `parse` made it.

    Attributes:
        typed: what the person wrote, the domain normalised; mail goes to this.
        key: what makes two spellings one address: lower-cased, the domain as A-label; plus-tags
            and dots are kept.
        domain: the domain as a lower-case A-label.
    """

    typed: str
    key: str
    domain: str

    @classmethod
    def parse(cls, text: str, *, place: str = "address") -> "Address":
        """Validate by email-validator's policy (RFC 5321, 5322, 6531) without asking DNS.

        Raises:
            AddressError: names `place` and what is wrong.
        """
        text = text.strip()
        plain = _PLAIN.fullmatch(text)
        return (plain and cls._plain(*plain.groups())) or cls._checked(text, place)

    @classmethod
    def _plain(cls, local_part: str, domain: str) -> "Address | None":
        """An ASCII address, by the domain's verdict; None: only the whole check can tell.

        Most addresses of a large file are at few domains, and a domain is what takes the time.
        """
        if len(local_part) > _MAX_LOCAL_CHARACTERS or local_part.lower() in _ROLES:
            return None
        normalised = _plain_domain(domain)
        if not normalised or len(local_part) + len(normalised) >= MAX_CHARACTERS:
            return None
        typed = f"{local_part}@{normalised}"
        return cls(typed, typed.lower(), normalised)

    @classmethod
    def _checked(cls, text: str, place: str) -> "Address":
        try:
            checked = validate_email(text, check_deliverability=False, strict=True)
        except EmailNotValidError as error:
            said = in_words(error)
            problem = say("%(text)s is not an e-mail address: %(why)s", text=_shown(text), why=said)
            raise AddressError(place, problem) from None
        key = f"{checked.local_part.lower()}@{checked.ascii_domain.lower()}"
        return cls(checked.normalized, key, checked.ascii_domain.lower())

    @classmethod
    def stored(cls, typed: str, key: str) -> "Address":
        """An address that `parse` made once and the database kept: not validated again."""
        return cls(typed, key, key.rpartition("@")[2])

    @property
    def local_part(self) -> str:
        return self.typed.rpartition("@")[0]

    @property
    def needs_smtputf8(self) -> bool:
        """The local part has characters that only a server with SMTPUTF8 takes (RFC 6531)."""
        return not self.local_part.isascii()

    @property
    def envelope(self) -> str:
        """The form for MAIL FROM and RCPT TO: the domain as A-label."""
        return f"{self.local_part}@{self.domain}"


@lru_cache(_KNOWN_DOMAINS)
def _plain_domain(domain: str) -> str:
    """The domain normalised; empty when it is refused or not written as it is sent."""
    try:
        checked = validate_email(f"a@{domain}", check_deliverability=False, strict=True)
    except EmailNotValidError:
        return ""
    return checked.ascii_domain if checked.domain == checked.ascii_domain else ""


def _shown(text: str) -> str:
    return repr(text if len(text) <= MAX_CHARACTERS else text[:60] + "…")
