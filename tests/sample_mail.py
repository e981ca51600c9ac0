"""Two small messages to two people, as the SMTP client takes them."""

from newsletter.mail.smtp import Envelope

ADA = Envelope("editor@example.org", "ada@example.org")
BOB = Envelope("editor@example.org", "bob@example.org")
ONE, TWO = b"Subject: 1\r\n\r\nOne.\r\n", b"Subject: 2\r\n\r\nTwo.\r\n"
MAILING = ((None, ADA), (ONE, BOB), (TWO, None))
"""Both over one connection: body and next envelope of each exchange."""
