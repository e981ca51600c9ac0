"""What pages call the states of issues, and the choices of a preview."""

from newsletter.broadcasts.issue_states import IssueState
from newsletter.web.desk.text import _


def states() -> dict[IssueState, tuple[str, str]]:
    """Text and tone of each state."""
    return {
        IssueState.DRAFT: (_("Draft"), "quiet"),
        IssueState.READY: (_("Ready to send"), "quiet"),
        IssueState.AWAITING_APPROVAL: (_("Waits for approval"), "busy"),
        IssueState.SCHEDULED: (_("Scheduled"), "busy"),
        IssueState.SENDING: (_("Sending"), "busy"),
        IssueState.SENT: (_("Sent"), "good"),
        IssueState.NEEDS_ATTENTION: (_("Needs attention"), "wrong"),
    }


def shapes() -> list[tuple[str, str]]:
    """What of a mail a preview shows."""
    return [("html", _("HTML")), ("text", _("Text")), ("web", _("Web page"))]


def widths() -> list[tuple[str, str]]:
    return [("desktop", _("Desktop")), ("phone", _("Phone"))]


def schemes() -> list[tuple[str, str]]:
    return [("light", _("Light")), ("dark", _("Dark"))]


def readers() -> list[tuple[str, str]]:
    """The sample readers of `rendering.sample`."""
    return [
        ("named", _("Ada Reader")),
        ("nameless", _("A reader without a name")),
        ("long", _("A reader with a very long name")),
    ]
