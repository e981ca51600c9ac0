"""SMTP replies: what a server said, and what kind of answer it is."""

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
    """What an answer means for the row, the relay, and the broadcast."""

    ACCEPTED = "accepted"
