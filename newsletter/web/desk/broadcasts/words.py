"""What states and reasons of a broadcast are called on pages."""

from collections.abc import Mapping

from newsletter.broadcasts.models import Broadcast, BroadcastState, PauseReason
from newsletter.web.desk.text import _

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
    """Why somebody failed, was skipped or is left out; what nobody has a word for as it is."""
    known = {
        "gone": _("the address does not exist"),
        "mailbox full": _("the mailbox is full"),
        "refused": _("the mail was refused"),
        "temporary": _("not taken for now"),
        "unsubscribed": _("unsubscribed"),
        "suppressed": _("suppressed"),
        "paused": _("paused by themselves"),
        "cancelled": _("the broadcast was cancelled"),
        "expired": _("the issue went stale"),
        "unconfirmed": _("not confirmed"),
        "outside the segment": _("outside the segment"),
    }
    return known.get(reason, reason) or _("unknown")


def lists_text(broadcast: Broadcast) -> str:
    """The lists it goes to, by name."""
    return ", ".join(chosen.list.name for chosen in broadcast.lists)
