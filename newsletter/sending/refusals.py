"""Refusals of the content or by policy: stop before the whole list has refused. Pure."""

from collections import deque
from dataclasses import dataclass, field

from newsletter.core.sentences import say
from newsletter.mail.replies import Reply, ReplyClass, classify

WINDOW_VERDICTS = 100
REFUSALS_TO_PAUSE = 20


@dataclass(slots=True)
class Window:
    """The last verdicts on one broadcast that one worker has heard.

    Begun anew when a broadcast is resumed: somebody has looked, and it gets a fresh chance.
    """

    refused: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW_VERDICTS))
    last_refusal: Reply | None = None

    def add(self, reply: Reply) -> None:
        """Count a full reply to an offer; one that is about the relay says nothing of the mail."""
        verdict = classify(reply)
        if verdict.concerns_relay:
            return
        self.refused.append(verdict is ReplyClass.REFUSED)
        if verdict is ReplyClass.REFUSED:
            self.last_refusal = reply


def should_pause(window: Window) -> str | None:
    """Why the broadcast should stop for an editor to look, or None.

    At least 20 of the last 100 refused: a fifth. On a healthy list a few in a hundred refuse by
    policy (at 3 %, 20 of 100 come about once in ten thousand million windows), while a link on a
    blocklist or a sender out of favour is refused by everybody at one of the large mailbox
    providers, which are a fifth of a list and more. When everybody refuses, 20 are burnt, not 100;
    a list under 20 ends before this matters.

    Each worker has a window of its own, so `n` workers burn at most `20 n` recipients plus what is
    on the wire when the first of them pauses, one per connection.
    """
    count = sum(window.refused)
    if count < REFUSALS_TO_PAUSE or window.last_refusal is None:
        return None
    reply = window.last_refusal
    said = " ".join(filter(None, (str(reply.code), reply.enhanced, reply.text)))
    return say(
        "%(count)s of the last %(of)s recipients refused the mail: %(said)s",
        count=count,
        of=len(window.refused),
        said=said,
    )
