"""The one strict e-mail address: everything that mails or stores an address goes through it."""

from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

from newsletter.core.errors import InputError

MAX_CHARACTERS = 254


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
        try:
            checked = validate_email(text.strip(), check_deliverability=False, strict=True)
        except EmailNotValidError as error:
            raise AddressError(place, f"{_shown(text)} is not an e-mail address: {error}") from None
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


def _shown(text: str) -> str:
    return repr(text if len(text) <= MAX_CHARACTERS else text[:60] + "…")
