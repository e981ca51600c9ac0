"""How commands show the recipients in doubt, and what to do about them."""

from collections.abc import Sequence
from typing import Any

from newsletter.broadcasts.doubt import Doubt
from newsletter.cli import output


def rows(found: Sequence[Doubt]) -> list[dict[str, Any]]:
    """For a table or JSON."""
    return [
        {
            "name": each.name,
            "address": each.address,
            "since": each.since,
            "relay": each.relay,
            "attempt": each.attempt,
            "reason": each.reason,
        }
        for each in found
    ]


def say_what_to_do(broadcast_id: int) -> None:
    """The ways out of doubt."""
    output.say(
        "In doubt: an open, click or unsubscribe settles it by itself; look into the relay's log, "
        f"then `newsletter broadcasts resolve {broadcast_id} --accept` or `--resend`."
    )
