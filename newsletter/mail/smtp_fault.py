"""What makes an SMTP connection useless, and says nothing against the recipient."""

from typing import Final

from newsletter.core.errors import NewsletterError
from newsletter.core.sentences import Sentence, say
from newsletter.mail.replies import Reply, ReplyClass, classify

CLOSING: Final = 421
"""The one reply that can answer anything: the server hangs up (RFC 5321 section 3.8)."""


class SmtpFault(NewsletterError):  # noqa: N818 - the word of the reply table: a relay's fault
    """The connection is of no more use, and what was being offered was definitely not accepted.

    Attributes:
        reply: what the server said, if it said anything.
        is_configuration: login, identity or TLS trust is refused: trying on is useless.
        lacks_tls: it was to secure the connection and does not offer to.
        pipelining_broken: the server offers PIPELINING and breaks it; connect without.
    """

    def __init__(
        self,
        problem: Sentence,
        *,
        reply: Reply | None = None,
        is_configuration: bool = False,
        lacks_tls: bool = False,
        pipelining_broken: bool = False,
    ) -> None:
        super().__init__(problem)
        self.reply = reply
        self.is_configuration = is_configuration
        self.lacks_tls = lacks_tls
        self.pipelining_broken = pipelining_broken

    @classmethod
    def said(cls, moment: Sentence, reply: Reply) -> "SmtpFault":
        """The fault that a reply is; `moment` tells what it answered."""
        said = " ".join(str(part) for part in (reply.code, reply.enhanced, reply.text) if part)
        configuration = classify(reply) is ReplyClass.CONFIGURATION
        sentence = say("%(moment)s: %(said)s", moment=moment, said=said)
        return cls(sentence, reply=reply, is_configuration=configuration)
