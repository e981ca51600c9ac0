"""AUTH PLAIN and AUTH LOGIN (RFC 4954, 4616): ASCII credentials, and none of them in any error."""

from base64 import b64encode
from collections.abc import Sequence

from newsletter.core.sentences import Sentence, say
from newsletter.mail.replies import Reply, ReplyClass, classify, parse_reply
from newsletter.mail.smtp_fault import CLOSING, SmtpFault
from newsletter.mail.smtp_replies import RawReply
from newsletter.mail.smtp_wire import Wire

_GO_ON, _WELCOME = 334, 235
_LONGEST_COMMAND = 510


async def log_in(wire: Wire, offered: str, user: str, password: str, seconds: float) -> None:
    """Log in by the first of PLAIN and LOGIN that `offered` (the words behind AUTH) names.

    Args:
        wire: secured, or in the clear by the operator's own word.
        offered: such as `PLAIN LOGIN`.
        user: printable ASCII.
        password: likewise.
        seconds: for each reply, in all.

    Raises:
        SmtpFault: refused, or no way in that we know.
    """
    if not all(part.isascii() and part.isprintable() for part in (user, password)):
        raise _configuration(say("user and password are expected in printable ASCII"))
    mechanisms = offered.upper().split()
    if "PLAIN" in mechanisms:
        lines = _plain(user, password)
    elif "LOGIN" in mechanisms:
        lines = [b"AUTH LOGIN", b64encode(user.encode()), b64encode(password.encode())]
    else:
        raise _configuration(say("offers neither AUTH PLAIN nor AUTH LOGIN"))
    await _say(wire, lines, (user, password), seconds)


def _plain(user: str, password: str) -> list[bytes]:
    response = b64encode(f"\0{user}\0{password}".encode())
    line = b"AUTH PLAIN " + response
    return [line] if len(line) <= _LONGEST_COMMAND else [b"AUTH PLAIN", response]


async def _say(
    wire: Wire, lines: Sequence[bytes], credentials: tuple[str, str], seconds: float
) -> None:
    for number, line in enumerate(lines, 1):
        wanted = _WELCOME if number == len(lines) else _GO_ON
        replies = await wire.ask((line + b"\r\n",), 1, seconds)
        if not replies:
            assert wire.fault is not None
            raise wire.fault
        if replies[0][0] != wanted:
            secrets = [*credentials, *(said.rpartition(b" ")[2].decode() for said in lines)]
            raise _refused(replies[0], secrets)


def _refused(raw: RawReply, secrets: Sequence[str]) -> SmtpFault:
    """A server may repeat what it was told."""
    reply = parse_reply(*raw)
    if any(secret and secret in reply.text for secret in secrets):
        reply = Reply(reply.code, reply.enhanced)
    fault = SmtpFault.said(say("does not let us in"), reply)
    temporary = reply.code == CLOSING or reply.code // 100 == CLOSING // 100
    fault.is_configuration = not temporary or classify(reply) is ReplyClass.CONFIGURATION
    return fault


def _configuration(problem: Sentence) -> SmtpFault:
    return SmtpFault(problem, is_configuration=True)
