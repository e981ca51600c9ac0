"""What states and reasons of a broadcast are called on pages."""

from collections.abc import Mapping

from newsletter.broadcasts.models import Broadcast, BroadcastState, PauseReason, SkipReason
from newsletter.mail.replies import ReplyClass
from newsletter.web.desk.text import _
from subscribers.audience import Exclusion

_TONES = {
    BroadcastState.AWAITING_APPROVAL: "busy",
    BroadcastState.SCHEDULED: "quiet",
    BroadcastState.FREEZING: "busy",
    BroadcastState.SENDING: "busy",
    BroadcastState.PAUSED: "wrong",
    BroadcastState.DONE: "good",
    BroadcastState.CANCELLED: "quiet",
}


def state_text(state: BroadcastState) -> str:
    """A state in a word or two."""
    return {
        BroadcastState.AWAITING_APPROVAL: _("Waits for approval"),
        BroadcastState.SCHEDULED: _("Scheduled"),
        BroadcastState.FREEZING: _("Starting"),
        BroadcastState.SENDING: _("Sending"),
        BroadcastState.PAUSED: _("Paused"),
        BroadcastState.DONE: _("Done"),
        BroadcastState.CANCELLED: _("Cancelled"),
    }[state]


def tone(state: BroadcastState) -> str:
    """How the word looks."""
    return _TONES[state]


def pause_text(reason: PauseReason | None) -> str:
    """Who or what paused it, and how it goes on."""
    return {
        PauseReason.OPERATOR: _("Somebody paused it. Resume it when it may go on."),
        PauseReason.BREAKER: _(
            "The relay refuses our login, sender or identity, so everybody would fail. "
            "Mend that, then resume."
        ),
        PauseReason.HEALTH: _(
            "Too many recipients refused this mail, or the figures do not add up. Look at the "
            "reasons, then resume or cancel."
        ),
        PauseReason.QUOTA: _("The relay takes no more for now. It goes on by itself."),
        None: "",
    }[reason]


def by_name(actor: str) -> str:
    """Who is meant by an actor of the audit trail, without its number."""
    return actor.partition(": ")[2] if actor.startswith("user ") else actor


def reason_rows(reasons: Mapping[str, int]) -> list[tuple[str, int]]:
    """The most frequent first."""
    return sorted(((r, n) for r, n in reasons.items() if n), key=lambda row: (-row[1], row[0]))


def reason_text(reason: str) -> str:
    """Why somebody was left out, skipped or failed; what has no name here stays as it is."""
    names: Mapping[str, str] = {
        Exclusion.SUPPRESSED: _("suppressed"),
        Exclusion.OUTSIDE: _("outside the segment"),
        Exclusion.PAUSED: _("paused"),
        Exclusion.UNCONFIRMED: _("unconfirmed"),
        Exclusion.UNSUBSCRIBED: _("unsubscribed"),
        SkipReason.CANCELLED: _("cancelled"),
        SkipReason.EXPIRED: _("too late"),
        ReplyClass.GONE: _("no such mailbox"),
        ReplyClass.MAILBOX_FULL: _("mailbox full"),
        ReplyClass.REFUSED: _("refused"),
        ReplyClass.TEMPORARY: _("could not be reached in time"),
    }
    return names.get(reason, reason)


def lists_text(broadcast: Broadcast) -> str:
    """The lists it goes to, by name."""
    return ", ".join(chosen.list.name for chosen in broadcast.lists)
