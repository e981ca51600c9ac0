"""What the rows of a segment are called."""

from newsletter.web.desk.people.words import consents, statuses
from newsletter.web.desk.text import _
from subscribers.filters import rows
from subscribers.filters.tree import CHOICES, DAYS, Field, Moment


def subjects() -> list[tuple[str, list[tuple[str, str]]]]:
    """What a row can be about, in groups, in the order people look for it."""
    return [
        (
            _("On the list"),
            [
                (Field.STATUS, _("Status")),
                (Field.SUBSCRIBED_AT, _("Day of subscribing")),
                (Moment.SUBSCRIBED, _("Subscribed lately")),
                (Field.CONFIRMED_AT, _("Day of confirming")),
                (Moment.CONFIRMED, _("Confirmed lately")),
                (Field.TRACKING, _("Tracking")),
                (rows.ON, _("Another list")),
            ],
        ),
        (
            _("With our mails"),
            [
                (Moment.OPENED, _("Opened lately")),
                (Moment.CLICKED, _("Clicked lately")),
            ],
        ),
        (
            _("About the person"),
            [
                (rows.ATTRIBUTE, _("Attribute")),
                (Field.EMAIL, _("Address")),
                (Field.DOMAIN, _("Domain")),
                (Field.NAME, _("Name")),
                (Field.LOCALE, _("Language")),
                (Field.TIME_ZONE, _("Time zone")),
                (Field.CREATED_AT, _("Day we came to know them")),
                (Moment.CREATED, _("Known lately")),
                (rows.SAMPLE, _("A sample")),
            ],
        ),
    ]


def comparisons() -> dict[str, str]:
    """How a comparison reads between subject and value."""
    return {
        "=": _("is"),
        "!=": _("is not"),
        "<": _("is less than"),
        "<=": _("is at most"),
        ">": _("is more than"),
        ">=": _("is at least"),
        "in": _("is one of"),
        "not in": _("is none of"),
        "contains": _("contains"),
        "not contains": _("does not contain"),
        "starts_with": _("begins with"),
        "not starts_with": _("does not begin with"),
        "has": _("has among its values"),
        "not has": _("does not have among its values"),
        "exists": _("is known"),
        "not exists": _("is not known"),
        "within": _("within the last"),
        "not within": _("not within the last"),
        "on": _("active there too"),
        "not on": _("not active there"),
        "sample": _("in this part of all"),
        "not sample": _("not in this part of all"),
    }


def days() -> dict[str, str]:
    """Of days these read otherwise."""
    return {
        "=": _("is"),
        "!=": _("is not"),
        "<": _("is before"),
        "<=": _("is on or before"),
        ">": _("is after"),
        ">=": _("is on or after"),
    }


def comparison(subject: str, operator: str) -> str:
    """How one comparison of a subject reads."""
    if subject in DAYS and operator in days():
        return days()[operator]
    return comparisons()[operator]


def choices() -> dict[str, list[tuple[str, str]]]:
    """Values of fields that have few."""
    states: list[tuple[str, str]] = [*statuses().items(), *consents().items()]
    words = {str(state): text for state, text in states}
    return {found: [(value, words[value]) for value in CHOICES[found]] for found in CHOICES}


def kinds() -> list[tuple[str, str]]:
    """What the value of an attribute is."""
    return [
        (rows.Kind.TEXT, _("text")),
        (rows.Kind.NUMBER, _("number")),
        (rows.Kind.TRUTH, _("yes or no")),
    ]


def units() -> list[tuple[str, str]]:
    """What a time is counted in."""
    return [("h", _("hours")), ("d", _("days")), ("w", _("weeks"))]
