"""What the audit trail calls what was done, by whom, and where the thing is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from newsletter.accounts.models import AuditEvent
from newsletter.web.desk.text import _

_USER = re.compile(r"user ([0-9]+): (.+)", re.DOTALL)
_COMMAND = re.compile(r"command: (.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Named:
    """A text, and the page of what it names, if it has one."""

    text: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """One act in words.

    Attributes:
        sentence: empty for an act without words: its code is shown.
        things: what it was done to.
        more: what else is known, by name.
    """

    sentence: str
    things: tuple[Named, ...]
    more: Mapping[str, str]


def who(actor: str) -> Named:
    """Who did it: a user with their page, an account of the machine, or as it is written."""
    if user := _USER.fullmatch(actor):
        return Named(user[2], f"/settings/users/{user[1]}")
    if command := _COMMAND.fullmatch(actor):
        return Named(_("%(account)s, on the command line", account=command[1]))
    return Named(actor)


def told(event: AuditEvent) -> Told:
    """The act in words; one that nobody gave words to is shown as it is written."""
    sentence = sentences().get(event.action, "")
    things = [_person(event)] if event.subscriber_id else []
    more = {}
    for name, value in event.details.items():
        thing = _thing(event.action, name, value) if sentence else None
        if thing:
            things.append(thing)
        elif not sentence or value not in (None, False, "", []):
            more[name] = _text(value)
    return Told(sentence, tuple(things), more)


def _person(event: AuditEvent) -> Named:
    number = event.subscriber_id
    is_there = event.action != "subscriber.erased"
    page = f"/subscribers/{number}" if is_there else ""
    return Named(_("person %(number)s", number=number), page)


def _thing(action: str, name: str, number: object) -> Named | None:
    """What a detail of this name points at; an import calls itself just `number`."""
    if name == "number" and action.startswith("import."):
        return Named(_("import %(number)s", number=number), f"/imports/{number}")
    found = {
        "broadcast": Named(_("broadcast %(number)s", number=number), f"/broadcasts/{number}"),
        "issue": Named(_("issue %(number)s", number=number), f"/issues/{number}"),
        "user": Named(_("user %(number)s", number=number), f"/settings/users/{number}"),
        "relay": Named(_("relay %(name)s", name=number), "/settings/relays"),
        "token": Named(_("token %(number)s", number=number), "/settings/tokens"),
    }
    return found.get(name)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list | tuple):
        return ", ".join(_text(one) for one in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    return str(value)


def sentences() -> dict[str, str]:
    """What was done, by its code."""
    return _of_sending() | _of_people() | _of_settings() | _of_users()


def _of_sending() -> dict[str, str]:
    return {
        "issue.tested": _("Sent a test"),
        "broadcast.planned": _("Sent off a broadcast"),
        "broadcast.approved": _("Approved a broadcast"),
        "broadcast.asked again": _("Asked for approval again"),
        "broadcast.paused": _("Paused a broadcast"),
        "broadcast.resumed": _("Resumed a broadcast"),
        "broadcast.undone": _("Took a broadcast back"),
        "broadcast.cancelled": _("Cancelled a broadcast"),
        "broadcast.retried": _("Retried what had failed"),
        "broadcast.doubts_resent": _("Sent once more to those in doubt"),
        "broadcast.doubts_accepted": _("Took those in doubt as accepted"),
        "relay.paused": _("Paused a relay"),
        "relay.resumed": _("Used a relay again"),
    }


def _of_people() -> dict[str, str]:
    return {
        "subscriber.added": _("Added a person"),
        "subscriber.changed": _("Changed a person"),
        "subscriber.taken_off": _("Took a person off a list"),
        "subscriber.put_back": _("Put a person back on a list"),
        "subscriber.exported": _("Exported what is known of a person"),
        "subscriber.erased": _("Erased a person"),
        "subscribers.exported": _("Exported people"),
        "subscribers.imported": _("Imported people"),
        "import.uploaded": _("Uploaded a file of people"),
        "import.started": _("Started an import"),
        "import.done": _("Imported a file of people"),
        "import.failed": _("An import failed"),
        "import.cancelled": _("Cancelled an import"),
        "import.bad_rows_read": _("Downloaded the bad rows of an import"),
        "suppression.added": _("Added a suppression"),
        "suppression.lifted": _("Lifted a suppression"),
        "suppression.exported": _("Exported suppressions"),
        "suppression.imported": _("Imported suppressions"),
        "list.created": _("Made a list"),
        "list.changed": _("Changed a list"),
        "segment.created": _("Made a segment"),
        "segment.changed": _("Changed a segment"),
        "segment.deleted": _("Deleted a segment"),
    }


def _of_settings() -> dict[str, str]:
    return {
        "newsletter.added": _("Made a newsletter"),
        "newsletter.changed": _("Changed a newsletter"),
        "newsletter.look_changed": _("Changed a newsletter's look"),
        "newsletter.logo_changed": _("Changed a newsletter's sign"),
        "token.made": _("Made an API token"),
        "token.revoked": _("Revoked an API token"),
    }


def _of_users() -> dict[str, str]:
    return {
        "user.added": _("Added a user"),
        "user.joined": _("Took an invitation"),
        "user.logged_in": _("Logged in"),
        "user.invited": _("Invited a user"),
        "user.invitation_withdrawn": _("Withdrew an invitation"),
        "user.role_changed": _("Changed a user's role"),
        "user.activated": _("Let a user in again"),
        "user.deactivated": _("Locked a user out"),
        "user.password_changed": _("Changed a password"),
        "user.password_link_made": _("Made a link for a new password"),
        "user.second_factor_on": _("Turned a second factor on"),
        "user.second_factor_off": _("Turned their second factor off"),
        "user.second_factor_taken_off": _("Took a user's second factor off"),
        "user.recovery_codes_made": _("Made recovery codes"),
    }
