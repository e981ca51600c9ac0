"""How the reports say what the domain names."""

from collections.abc import Mapping

from newsletter.reports.growth import BY_IMPORT
from newsletter.web.desk.text import _
from subscribers.models import LeaveReason


def leave_reasons() -> Mapping[str, str]:
    """Why people left, by `LeaveReason`; the empty one is of those who did not say."""
    return {
        LeaveReason.TOO_OFTEN: _("It came too often"),
        LeaveReason.NOT_RELEVANT: _("It was not for them"),
        LeaveReason.NEVER_ASKED: _("They never asked for it"),
        LeaveReason.OTHER: _("Something else"),
        "": _("They did not say"),
    }


def leavings() -> Mapping[str, str]:
    """The same for a list, which a file may also say they had left."""
    return {**leave_reasons(), BY_IMPORT: _("A file said so")}


def spans() -> Mapping[str, str]:
    """Stretches of time, by the names of `growth.SPANS`."""
    return {
        "month": _("30 days, by day"),
        "quarter": _("13 weeks, by week"),
        "year": _("A year, by week"),
        "3-years": _("Three years, by four weeks"),
    }
