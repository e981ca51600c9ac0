"""SMTP replies: what a server said, and what kind of answer it is."""

import re
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Reply:
    """One full reply (RFC 5321 section 4.2).

    Attributes:
        enhanced: the enhanced status code (RFC 3463), such as `5.1.1`, or empty.
        text: all lines joined by a space, without the codes.
    """

    code: int
    enhanced: str = ""
    text: str = ""


class ReplyClass(StrEnum):
    """What an answer means for the recipient, the relay, and the broadcast."""

    ACCEPTED = "accepted"
    RELAY_FAULT = "relay fault"
    """The relay is in trouble: give the row back, try elsewhere or later."""
    RATE = "rate"
    """Too fast for the relay: give the row back and slow down."""
    CONNECTION_LIMIT = "connection limit"
    """This connection is used up: give the row back and open another."""
    CONFIGURATION = "configuration"
    """Our login, sender or identity is refused: everybody would fail."""
    TEMPORARY = "temporary"
    """This recipient, not now."""
    GONE = "gone"
    """This recipient, never again."""
    MAILBOX_FULL = "mailbox full"
    REFUSED = "refused"
    """Content, policy or size: this message is not taken."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """A row of the table: all that is given must match; the first rule that does decides."""

    verdict: ReplyClass
    codes: frozenset[int] = frozenset()
    enhanced: tuple[str, ...] = ()
    text: re.Pattern[str] | None = None
    first_digit: int = 0

    def matches(self, reply: Reply) -> bool:
        return (
            (not self.codes or reply.code in self.codes)
            and (not self.enhanced or _starts_with(reply.enhanced, self.enhanced))
            and (self.text is None or self.text.search(reply.text) is not None)
            and (not self.first_digit or reply.code // 100 == self.first_digit)
        )


def _starts_with(enhanced: str, wanted: tuple[str, ...]) -> bool:
    return any(enhanced == code or enhanced.startswith(code + ".") for code in wanted)


def _text(*phrases: str) -> re.Pattern[str]:
    return re.compile("|".join(phrases), re.IGNORECASE)


_C = ReplyClass
_RULES = (
    _Rule(_C.ACCEPTED, first_digit=2),
    _Rule(_C.RELAY_FAULT, codes=frozenset({421})),
    _Rule(_C.CONFIGURATION, codes=frozenset({530, 534, 535, 538})),
    _Rule(_C.RATE, codes=frozenset({454})),
    # 4xx
    _Rule(_C.CONNECTION_LIMIT, first_digit=4, enhanced=("4.5.3", "4.4.5")),
    _Rule(
        _C.CONNECTION_LIMIT,
        first_digit=4,
        text=_text(r"too many (messages|mails|recipients).*(connection|session)"),
    ),
    _Rule(_C.RELAY_FAULT, first_digit=4, enhanced=("4.3.2", "4.4")),
    _Rule(_C.RATE, first_digit=4, enhanced=("4.7.0",)),
    _Rule(
        _C.RATE,
        codes=frozenset({451, 452}),
        text=_text(r"rate", r"throttl", r"too (many|fast|much)", r"slow down", r"quota exceeded"),
    ),
    _Rule(_C.TEMPORARY, first_digit=4),
    # 5xx; an enhanced code that says otherwise makes it temporary
    _Rule(_C.TEMPORARY, first_digit=5, enhanced=("4", "2")),
    _Rule(
        _C.CONFIGURATION, first_digit=5, enhanced=("5.7.8", "5.1.7", "5.1.8", "5.7.26", "5.7.27")
    ),
    _Rule(
        _C.GONE,
        codes=frozenset({550, 551, 553}),
        enhanced=("5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"),
    ),
    _Rule(_C.MAILBOX_FULL, first_digit=5, enhanced=("5.2.2",)),
    _Rule(_C.REFUSED, first_digit=5, enhanced=("5",)),
    # 5xx without an enhanced code: the text has to tell
    _Rule(_C.MAILBOX_FULL, codes=frozenset({552}), text=_text(r"full", r"quota", r"storage")),
    _Rule(
        _C.GONE,
        codes=frozenset({550, 551, 553}),
        text=_text(
            r"(user|mailbox|recipient|account|address).*(unknown|not (found|exist)|disabled)",
            r"(unknown|no such) (user|mailbox|recipient|account|address)",
            r"does(n't| not) exist",
        ),
    ),
    _Rule(_C.REFUSED, first_digit=5),
    _Rule(_C.RELAY_FAULT),
)

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})\s*")


def parse_reply(code: int, text: bytes | str) -> Reply:
    """A reply from its code and the text of all its lines, enhanced codes taken out of it."""
    plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    lines = plain.replace("\r", "").split("\n")
    found = _ENHANCED.match(lines[0])
    enhanced = found[1] if found else ""
    cleaned = (line.removeprefix(enhanced).strip() for line in lines)
    printable = "".join(c if c.isprintable() else " " for c in " ".join(cleaned))
    return Reply(code, enhanced, printable.strip())


def classify(reply: Reply) -> ReplyClass:
    """The class digit first, then the enhanced code, then the text."""
    return next(rule.verdict for rule in _RULES if rule.matches(reply))
