"""The reference: what a short script with Python's standard library does for each recipient."""

import smtplib
from collections.abc import Iterable
from email import policy
from email.message import EmailMessage

from newsletter.rendering.compiled import Frozen, placeholder


class PlainMail:
    """The same mail, with its placeholders as they are: only the address is put in."""

    def __init__(self, frozen: Frozen) -> None:
        self._frozen = frozen
        self._address = placeholder(frozen.email.nonce, "email")

    def message(self, address: str) -> EmailMessage:
        """An EmailMessage for one recipient, with the headers that ours has."""
        identity, email = self._frozen.identity, self._frozen.email
        message = EmailMessage(policy=policy.SMTP)
        message["From"] = f"{identity.sender_name} <{identity.sender_address}>"
        message["To"] = address
        message["Subject"] = email.subject
        message["Date"] = self._frozen.date
        message["Message-ID"] = f"<{hash(address):x}@example.org>"
        message["List-Id"] = f"<{identity.list_id}>"
        message["List-Unsubscribe"] = f"<{identity.base_url}/u/{address}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message.set_content(email.text.replace(self._address, address))
        message.add_alternative(email.html.replace(self._address, address), subtype="html")
        return message

    def bytes(self, address: str) -> bytes:
        return self.message(address).as_bytes()

    def send_all(self, port: int, addresses: Iterable[str]) -> None:
        """Over one connection, without a ledger: a crash loses all memory of who got it."""
        with smtplib.SMTP("127.0.0.1", port) as client:
            for address in addresses:
                client.send_message(self.message(address))
