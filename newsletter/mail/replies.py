"""SMTP replies: what a server said, and what kind of answer it is."""

import re
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Reply:
    """One full reply (RFC 5321 section 4.2).

    Attributes:
        enhanced: the enhanced status code (RFC 3463), such as `5.1.1`, or empty.
        text: all lines joined by a space, without the codes; addresses are cut out by
            `parse_reply`, so that a kept reply names nobody.
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
    QUOTA = "quota"
    """The relay takes no more for hours: give the row back and stop until the window reopens."""
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

    @property
    def concerns_relay(self) -> bool:
        """Says nothing about the recipient: the row is given back, no attempt burnt."""
        return self in _ABOUT_THE_RELAY


_ABOUT_THE_RELAY = frozenset(
    {
        ReplyClass.RELAY_FAULT,
        ReplyClass.RATE,
        ReplyClass.QUOTA,
        ReplyClass.CONNECTION_LIMIT,
        ReplyClass.CONFIGURATION,
    }
)
DISABLED = "5.2.1"
"""A disabled mailbox, which may be enabled again: gone, but not for certain the first time."""


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
_THROTTLED = _text(
    r"\brate\b",
    r"\bthrottl",
    r"\btoo (many|fast|much)\b",
    r"\bslow down\b",
    r"\bserver busy\b",
)
_GREYLISTED = _text(r"\bgr[ae]y-?list")
_WINDOW = r"\b(daily|per day|24[ -]?h(ou)?rs?|hourly|per hour)\b"
_ALLOWANCE = r"\b(quota|limit|allowance|max(imum)?)\b"
# A word about what the reader receives means their limit, not ours.
_QUOTA_USED_UP = _text(
    rf"^(?!.*\b(receiv|inbox|mailbox))(?=.*{_WINDOW})(?=.*{_ALLOWANCE})(?=.*\b(exceed|reach|used))"
)
_RECEIVING_TOO_FAST = _text(r"\breceiving mail (at a rate|too quickly)\b")
_NOT_OUR_SENDER = _text(
    r"\bsender address rejected: not (owned by|logged in)", r"\baddress is not verified\b"
)
_USED_UP = _text(r"\btoo many (messages|mails|recipients)\b.*\b(connection|session)\b")
_TOO_MANY_CONNECTIONS = _text(r"\btoo many\b.*\b(connections|sessions)\b")
_FULL = _text(r"\bfull\b", r"\bquota\b", r"\bstorage\b")
# A word about the sender means that everybody would fail, not that this person is gone.
_UNKNOWN_USER = _text(
    r"^(?!.*\b(sender|from)\b).*("
    r"\b(unknown|no such) (local )?(user|mailbox|recipient|account)\b"
    r"|\b(user|mailbox|recipient|account)( is)? (unknown|not found)\b"
    r"|\b(user|mailbox|recipient|account)( \S+)? does(n't| not) exist\b)"
)
_NO_SUCH_MAILBOX = frozenset({550, 551, 553})

_RULES = (
    # A 2xx is never doubted, whatever stands behind it: to offer again would mail twice.
    _Rule(_C.ACCEPTED, first_digit=2),
    _Rule(_C.QUOTA, first_digit=4, text=_QUOTA_USED_UP),
    _Rule(_C.QUOTA, first_digit=5, text=_QUOTA_USED_UP),
    _Rule(_C.RELAY_FAULT, codes=frozenset({421})),
    # The basic code and the enhanced code contradict each other.
    _Rule(_C.TEMPORARY, first_digit=4, enhanced=("2", "5")),
    _Rule(_C.TEMPORARY, first_digit=5, enhanced=("2", "4")),
    _Rule(_C.CONNECTION_LIMIT, first_digit=4, enhanced=("4.5.3", "4.4.5")),
    _Rule(_C.RELAY_FAULT, first_digit=4, enhanced=("4.3.2", "4.4")),
    _Rule(_C.TEMPORARY, first_digit=4, enhanced=("4.2",)),
    _Rule(_C.TEMPORARY, first_digit=4, text=_GREYLISTED),
    _Rule(_C.RATE, codes=frozenset({454})),
    _Rule(_C.RATE, first_digit=4, enhanced=("4.7.0",)),
    _Rule(_C.CONNECTION_LIMIT, first_digit=4, text=_USED_UP),
    _Rule(_C.RATE, codes=frozenset({450, 451, 452}), text=_THROTTLED),
    _Rule(_C.TEMPORARY, first_digit=4),
    _Rule(_C.CONFIGURATION, codes=frozenset({530, 534, 535, 538})),
    _Rule(
        _C.CONFIGURATION, first_digit=5, enhanced=("5.7.8", "5.1.7", "5.1.8", "5.7.26", "5.7.27")
    ),
    _Rule(_C.CONFIGURATION, first_digit=5, text=_NOT_OUR_SENDER),
    _Rule(_C.TEMPORARY, first_digit=5, enhanced=(DISABLED,), text=_RECEIVING_TOO_FAST),
    _Rule(
        _C.GONE,
        codes=_NO_SUCH_MAILBOX,
        enhanced=("5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", DISABLED),
    ),
    _Rule(_C.MAILBOX_FULL, first_digit=5, enhanced=("5.2.2",)),
    _Rule(_C.REFUSED, first_digit=5, enhanced=("5",)),
    # Without an enhanced code the text has to tell.
    _Rule(_C.MAILBOX_FULL, codes=frozenset({552}), text=_FULL),
    _Rule(_C.GONE, codes=_NO_SUCH_MAILBOX, text=_UNKNOWN_USER),
    _Rule(_C.REFUSED, first_digit=5),
    # No SMTP reply at all, or one out of place.
    _Rule(_C.RELAY_FAULT),
)
"""In the order of decision: class digit, enhanced code, text; the first that matches decides."""

_ADDRESS = re.compile(r"[^\s<>()\[\]\"',;:]{1,64}@[^\s<>()\[\]\"',;:]+")
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?!\S)")


def parse_reply(code: int, text: bytes | str) -> Reply:
    """A reply from its code and the text of all its lines, enhanced codes taken out of it."""
    plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    if plain.isprintable() and "@" not in plain:
        return _short(code, plain)
    lines = plain.splitlines()
    found = _ENHANCED.match(lines[0]) if lines else None
    enhanced = found[1] if found else ""
    said = " ".join(line.removeprefix(enhanced).strip() for line in lines)
    said = _ADDRESS.sub("address", said)
    return Reply(code, enhanced, "".join(c if c.isprintable() else " " for c in said).strip())


def _short(code: int, line: str) -> Reply:
    """One line without an address: what nearly every reply is, and read for every message."""
    found = _ENHANCED.match(line)
    enhanced = found[1] if found else ""
    return Reply(code, enhanced, line.removeprefix(enhanced).strip())


def classify(reply: Reply) -> ReplyClass:
    """The class digit first, then the enhanced code, then the text."""
    return next(rule.verdict for rule in _RULES if rule.matches(reply))


def suppresses(reply: Reply) -> bool:
    """The address is gone for certain; a disabled mailbox (5.2.1) may be enabled again."""
    return classify(reply) is ReplyClass.GONE and reply.enhanced != DISABLED


def is_about_too_many_connections(reply: Reply) -> bool:
    """Whoever closes one of theirs is let in again: nothing is wrong with the relay."""
    return _TOO_MANY_CONNECTIONS.search(reply.text) is not None
