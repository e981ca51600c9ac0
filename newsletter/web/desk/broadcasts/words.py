"""What states and reasons of a broadcast are called on pages."""

from collections.abc import Mapping, Sequence

from newsletter.broadcasts.models import Broadcast, BroadcastState, DeliveryState, PauseReason
from newsletter.broadcasts.today import Task
from newsletter.web.desk.text import _, translated

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
        BroadcastState.DONE: _("Sent"),
        BroadcastState.CANCELLED: _("Cancelled"),
    }[state]


def tone(state: BroadcastState) -> str:
    """How the word looks."""
    return _TONES[state]


DELIVERY_TONES = {
    DeliveryState.ACCEPTED: "good",
    DeliveryState.FAILED: "wrong",
    DeliveryState.IN_DOUBT: "busy",
}


def delivery_states() -> dict[DeliveryState, str]:
    """Where one person's mail stands; nobody can know more than that a relay took it."""
    return {
        DeliveryState.PENDING: _("waiting"),
        DeliveryState.CLAIMED: _("on its way"),
        DeliveryState.SENDING: _("on its way"),
        DeliveryState.ACCEPTED: _("accepted"),
        DeliveryState.FAILED: _("failed"),
        DeliveryState.SKIPPED: _("skipped"),
        DeliveryState.IN_DOUBT: _("in doubt"),
    }


def pause_text(reason: PauseReason | None, paused_by: str = "") -> str:
    """Who or what paused it, and how it goes on."""
    who = by_name(paused_by) or _("Somebody")
    return {
        PauseReason.OPERATOR: _("%(who)s paused it. Resume it when it may go on.", who=who),
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


def pause_line(task: Task) -> str:
    """Who or what paused it, in a few words and with what the machine saw."""
    if task.pause_reason is PauseReason.OPERATOR:
        return _("paused by %(who)s", who=by_name(task.paused_by) or _("somebody"))
    why = {
        PauseReason.BREAKER: _("the relay refuses our login, sender or identity"),
        PauseReason.HEALTH: _("too many refused it, or the figures do not add up"),
        PauseReason.QUOTA: _("the relay takes no more for now"),
        None: _("paused"),
    }[task.pause_reason]
    return f"{why}: {translated(task.pause_detail)}" if task.pause_detail else why


def attention_text(task: Task, relays_paused_by: Sequence[str]) -> str:
    """Why somebody should look at it."""
    if task.state is BroadcastState.PAUSED:
        return pause_line(task)
    if task.state is BroadcastState.DONE:
        return _("some recipients are in doubt")
    return relays_paused_text(relays_paused_by)


def relays_paused_text(paused_by: Sequence[str]) -> str:
    """No relay is in use, and who paused them."""
    names = ", ".join(by_name(actor) for actor in paused_by if actor) or _("somebody")
    return _("No relay is in use: paused by %(who)s.", who=names)


def by_name(actor: str) -> str:
    """Who is meant by an actor of the audit trail, without its number."""
    return actor.partition(": ")[2] if actor.startswith("user ") else actor


def reason_rows(reasons: Mapping[str, int]) -> list[tuple[str, int]]:
    """The most frequent first."""
    return sorted(((r, n) for r, n in reasons.items() if n), key=lambda row: (-row[1], row[0]))


def reason_text(reason: str, *, is_over: bool = True) -> str:
    """Why somebody failed, was skipped or is left out; what nobody has a word for as it is.

    Without `is_over`, of a row that still waits.
    """
    put_off = _("still put off when it ended") if is_over else _("put off by the other side")
    known = {
        "gone": _("the address does not exist"),
        "mailbox full": _("the mailbox is full"),
        "refused": _("refused by the mailbox"),
        "temporary": put_off,
        "relay fault": _("the relay was in trouble"),
        "rate": _("too fast for the relay"),
        "quota": _("the relay took no more for that day"),
        "connection limit": _("the relay wanted a new connection"),
        "configuration": _("the relay refused our login, sender or identity"),
        "cannot be rendered": _("the mail could not be made for them"),
        "worker lost": _("the sender died in the middle of it"),
        "no reply after the dot": _("the relay did not say whether it took it"),
        "accepted by hand": _("somebody took it as accepted"),
        "assumed accepted": _("taken as accepted after a while"),
        "resent by hand": _("somebody sent it once more"),
        "resent by policy": _("sent once more after a while"),
        "retried by hand": _("somebody had it tried again"),
        "unsubscribed": _("unsubscribed"),
        "suppressed": _("suppressed"),
        "paused": _("paused by themselves"),
        "cancelled": _("the broadcast was cancelled"),
        "expired": _("the issue went stale"),
        "unconfirmed": _("unconfirmed"),
        "outside the segment": _("outside the segment"),
    }
    return known.get(reason, reason) or _("unknown")


def lists_text(broadcast: Broadcast) -> str:
    """The lists it goes to, by name."""
    return ", ".join(chosen.list.name for chosen in broadcast.lists)
