"""What the pages about imports call things, and what is wrong with a file in their words."""

import re
from collections.abc import Collection, Mapping

from newsletter.core.errors import InputError
from newsletter.web.desk.problems import capitalised
from newsletter.web.desk.text import _, translated
from subscribers.files.csv_files import normalised
from subscribers.imports.fates import Fate
from subscribers.imports.presets.own import UNDERSTOOD
from subscribers.imports.runs.counts import Counts
from subscribers.imports.runs.models import ImportState

LEAVE_OUT = "-"
AS_ATTRIBUTE = "="

SYSTEMS: Mapping[str, str] = {
    "buttondown": "Buttondown",
    "ghost": "Ghost",
    "keila": "Keila",
    "kit": "Kit",
    "listmonk": "listmonk",
    "mailchimp": "Mailchimp",
    "substack": "Substack",
}
"""By the names of their presets; the own form is not among them."""

TONES: Mapping[ImportState, str] = {
    ImportState.UPLOADED: "busy",
    ImportState.CHECKING: "busy",
    ImportState.CHECKED: "busy",
    ImportState.IMPORTING: "busy",
    ImportState.DONE: "good",
    ImportState.FAILED: "wrong",
    ImportState.CANCELLED: "quiet",
}
"""Of a state's label, see `parts.state`."""

_ALSO_CALLED = {
    "email": (
        *("mail", "email_address", "e_mail", "e_mail_address", "emailaddress", "address"),
        *("mailadresse", "e_mail_adresse", "emailadresse", "courriel", "correo", "subscriber"),
    ),
    "name": ("full_name", "fullname", "display_name", "nom_complet"),
    "first_name": ("firstname", "given_name", "vorname", "prénom", "prenom", "fname"),
    "last_name": ("lastname", "family_name", "surname", "nachname", "nom", "lname"),
    "locale": ("language", "lang", "sprache", "langue"),
    "time_zone": ("timezone", "zeitzone"),
    "tags": ("tag", "labels", "label"),
    "subscribed_at": ("subscribed_on", "signup_date", "sign_up_date", "opt_in_time"),
}
_FIELDS = {name: field for field, names in _ALSO_CALLED.items() for name in names}
_PLACE = re.compile(r"^([^:\s][^:]*):(\d+): ")
_FILE = re.compile(r"^[^:]+\.\w{1,10}: ")
_OPTION = re.compile(r"^--(?:map|preset|list): ")
_SOME_SHARE, _SOME_ROWS = 0.1, 5


def states() -> dict[ImportState, str]:
    """Where an import stands."""
    return {
        ImportState.UPLOADED: _("Columns wanted"),
        ImportState.CHECKING: _("Being checked"),
        ImportState.CHECKED: _("Waits for your yes"),
        ImportState.IMPORTING: _("Being imported"),
        ImportState.DONE: _("Done"),
        ImportState.FAILED: _("Failed"),
        ImportState.CANCELLED: _("Cancelled"),
    }


def fields() -> list[tuple[str, str]]:
    """What a column can be said to be, in the order of a form."""
    return [
        (AS_ATTRIBUTE, _("Attribute of this name")),
        (LEAVE_OUT, _("Leave it out")),
        ("email", _("E-mail address")),
        ("name", _("Name")),
        ("first_name", _("First name")),
        ("last_name", _("Last name")),
        ("locale", _("Language")),
        ("time_zone", _("Time zone")),
        ("tags", _("Tags, between commas")),
        ("status", _("Status: active, pending, unsubscribed")),
        ("subscribed_at", _("Time of subscribing")),
        ("confirmed_at", _("Time of confirming")),
        ("unsubscribed_at", _("Time of leaving")),
        ("opt_in_at", _("Time of agreeing")),
        ("opt_in_ip", _("IP address of agreeing")),
        ("evidence", _("How they agreed, in words")),
        ("suppressed", _("Never mail: manual, gone, complaint")),
        ("list", _("Name of a list of yours")),
        ("created_at", _("Known since")),
    ]


def guessed(column: str) -> str:
    """What a column most likely is, by its name."""
    key = normalised(column)
    offered = {field for field, _text in fields()}
    field = _FIELDS.get(key, key)
    return field if field in UNDERSTOOD & offered else AS_ATTRIBUTE


def system(preset: str) -> str:
    """Whose files these are; empty for our own form."""
    return SYSTEMS.get(preset, "")


def plain(problem: str) -> str:
    """A problem as a sentence, without the words of the command line."""
    problem = _OPTION.sub("", translated(problem))
    problem = re.sub("`([^`]*)`", r"“\1”", problem)
    if place := _PLACE.match(problem):
        said = problem[place.end() :]
        problem = _("line %(line)s of %(file)s: ", line=place[2], file=place[1]) + said
    elif _FILE.match(problem):
        problem = _FILE.sub("", problem)
    return capitalised(problem) if problem else ""


def at_field(error: InputError, fields: Collection[str], otherwise: str) -> dict[str, str]:
    """The problem beside the field it is about; what a file has where is one of `otherwise`."""
    if error.place in fields:
        return {error.place: plain(error.problem)}
    return {otherwise: plain(error.sentence)}


def person(actor: str) -> str:
    """Who it was, as colleagues know them."""
    return re.sub(r"^user \d+: ", "", actor)


def is_mostly_bad(counts: Counts) -> bool:
    """So many bad rows that the columns may be wrong."""
    return counts[Fate.BAD] >= _SOME_ROWS and counts[Fate.BAD] > counts.rows * _SOME_SHARE
