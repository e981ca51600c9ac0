"""Our own files: everything that is known about people and their subscriptions."""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from newsletter.core.errors import InputError
from newsletter.core.sentences import say
from newsletter.core.slug import slugify
from subscribers.files.csv_files import normalised
from subscribers.imports.imported import (
    Cells,
    ImportedSubscriber,
    ImportedSubscription,
    ImportedSuppression,
    Preset,
)
from subscribers.imports.presets import cells as of
from subscribers.imports.presets.doubtful import STATUSES, is_doubtful, with_known
from subscribers.imports.presets.own_history import (
    as_text,
    borne_out,
    ends_with,
    history_in,
    objects,
)
from subscribers.leavers import LEAVINGS
from subscribers.models import (
    MAX_NAME_CHARACTERS,
    SubscriptionStatus,
    SuppressionReason,
    TrackingConsent,
)
from subscribers.sign_up_fields import MAX_ANSWER_CHARACTERS, NAME

EXPORTED = (
    "list",
    "email",
    "name",
    "locale",
    "time_zone",
    "attributes",
    "created_at",
    "status",
    "tracking_consent",
    "subscribed_at",
    "confirmed_at",
    "unsubscribed_at",
    "paused_until",
    "suppressed",
    "evidence",
    "history",
    "answers",
)
UNDERSTOOD = frozenset(
    (
        *EXPORTED,
        *("first_name", "last_name", "tags"),
        *("opt_in_at", "opt_in_ip", "confirm_ip"),
    )
)
"""The fields that `--map` can name; a column called otherwise becomes an attribute."""
OURS_ALONE = frozenset(
    (
        *("list", "tracking_consent", "subscribed_at", "confirmed_at", "unsubscribed_at"),
        *("paused_until", "suppressed", "evidence", "history"),
        *("opt_in_at", "opt_in_ip", "confirm_ip"),
    )
)
"""Of these, those that tell our file from another system's with a column `email`."""
_SUBSCRIPTION = frozenset(
    ("status", "tracking_consent", "subscribed_at", "confirmed_at", "unsubscribed_at")
)


def _read(row: Cells) -> ImportedSubscriber:
    shown_name, address = of.mailbox(row, "email")
    name = row.get("name") or of.full_name(row, "first_name", "last_name") or shown_name
    attributes = of.attributes(row, UNDERSTOOD, "tags")
    return ImportedSubscriber(
        address=address,
        subscription=_subscription(row),
        name=of.shortened(name),
        locale=of.locale(row.get("locale", "")),
        time_zone=of.time_zone(row.get("time_zone", "")),
        attributes=attributes | of.json_object("attributes", row.get("attributes", "")),
        created_at=of.time(row, "created_at"),
        suppressions=_suppressions(row.get("suppressed", "")),
    )


def _subscription(row: Cells) -> ImportedSubscription | None:
    """None for a row that says it: an empty `list` and nothing about a subscription."""
    if row.get("list") == "" and not any(row.get(column) for column in _SUBSCRIPTION):
        return None
    left_at = of.time(row, "unsubscribed_at")
    history = history_in(row.get("history", ""))
    has_left = left_at or (history and ends_with(history) in LEAVINGS)
    status = _status(row, left=bool(has_left))
    return ImportedSubscription(
        list_name=_list_name(row.get("list", "")),
        status=status,
        tracking_consent=of.one_of(
            row, "tracking_consent", TrackingConsent, TrackingConsent.UNKNOWN
        ),
        subscribed_at=of.time(row, "subscribed_at"),
        confirmed_at=of.time(row, "confirmed_at"),
        unsubscribed_at=left_at,
        paused_until=of.time(row, "paused_until"),
        opt_in_at=of.time(row, "opt_in_at"),
        opt_in_ip=row.get("opt_in_ip", ""),
        confirm_ip=row.get("confirm_ip", ""),
        evidence=row.get("evidence", ""),
        answers=_answers(row.get("answers", "")),
        history=borne_out(history, status, left_at) if history else (),
    )


def _status(row: Cells, *, left: bool) -> SubscriptionStatus:
    """A bare reason why the address is suppressed ends the subscription, whatever else it says.

    Lifting the suppression is no consent. An export writes a list there, and its status counts.
    """
    suppressed = row.get("suppressed")
    is_bare = suppressed and not suppressed.startswith("[")
    unsaid = SubscriptionStatus.UNSUBSCRIBED if left else SubscriptionStatus.ACTIVE
    status = of.one_of(row, "status", SubscriptionStatus, unsaid)
    return SubscriptionStatus.UNSUBSCRIBED if is_bare else status


def _answers(text: str) -> dict[str, str]:
    answers = of.json_object("answers", text)
    for key, answer in answers.items():
        most = MAX_NAME_CHARACTERS if key == NAME else MAX_ANSWER_CHARACTERS
        if not isinstance(answer, str) or len(answer) > most:
            raise InputError(
                "answers",
                say(
                    "expected a JSON object, `%(key)s` a text of at most %(most)s characters",
                    key=key,
                    most=most,
                ),
            )
    return answers


@lru_cache(1_000)
def _list_name(text: str) -> str:
    """As it is, if a list can be called so."""
    if text:
        slugify(text, place="list")
        if len(text) > MAX_NAME_CHARACTERS:
            raise InputError(
                "list", say("expected at most %(most)s characters", most=MAX_NAME_CHARACTERS)
            )
    return text


OWN = Preset("own", (frozenset({"email"}),), ("email",), _read, UNDERSTOOD)


def read_object(person: Mapping[str, Any]) -> list[ImportedSubscriber]:
    """A line of our JSON lines: a person once for each subscription, or once with none.

    Where they are active comes first, as an export has it: one that they left would close the
    newsletter's other lists to them.
    """
    members = _members(person)
    subscriptions = members.pop("subscriptions", None)
    if subscriptions is None:
        return [_read_members(members)]
    if not isinstance(subscriptions, list) or not all(isinstance(s, dict) for s in subscriptions):
        raise InputError("subscriptions", say("expected a list of JSON objects"))
    each = [members | _members(subscription) for subscription in subscriptions]
    people = [_read_members(found) for found in each or [members | {"list": ""}]]
    return sorted(people, key=_is_not_active) if len(people) > 1 else people


def _is_not_active(person: ImportedSubscriber) -> bool:
    standing = person.subscription
    return standing is None or standing.status is not SubscriptionStatus.ACTIVE


def _read_members(members: Mapping[str, Any]) -> ImportedSubscriber:
    """As a CSV file's row without blanks around; what is unknown is an attribute of its type."""
    row, others = {}, {}
    for name, value in members.items():
        if name in UNDERSTOOD:
            row[name] = as_text(name, value).strip()
        elif name not in _NO_ATTRIBUTES:
            others[name] = _as_attribute(name, value)
    person = _read(row)
    others = {name: value for name, value in others.items() if value not in (None, "")}
    return replace(person, attributes={**others, **person.attributes}) if others else person


_NO_ATTRIBUTES = ("error", "subscriptions")


def _as_attribute(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, (dict, list)) and of.json_value(json.dumps(value)) is None:
        raise InputError(
            name, say("expected a JSON value of at most %(most)s levels", most=of.MAX_LEVELS)
        )
    return value


def _members(found: Mapping[str, Any]) -> dict[str, Any]:
    """An object's members, called as a CSV file's columns are."""
    members = {_called(name): value for name, value in found.items()}
    if len(members) < len(found):
        names = [_called(name) for name in found]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError("line", say("`%(twice)s` stands there twice", twice=twice))
    for name in sorted(filter(is_doubtful, members.keys() - UNDERSTOOD)):
        problem = say(
            "may say who left: say it as `status` %(statuses)s, or leave it out", statuses=STATUSES
        )
        raise InputError(name, with_known(problem, name, UNDERSTOOD))
    return members


_called = lru_cache(1_000)(normalised)


def _suppressions(text: str) -> tuple[ImportedSuppression, ...]:
    """A reason, or a JSON list with all there is to say."""
    if not text:
        return ()
    if not text.startswith("["):
        return (ImportedSuppression(_reason({"suppressed": text}, "suppressed")),)
    return tuple(
        ImportedSuppression(
            reason=_reason(each, "reason"),
            list_name=_list_name(each.get("list", "")),
            source=each.get("source", ""),
            at=of.time(each, "at"),
        )
        for each in objects("suppressed", text)
    )


def _reason(row: Cells, column: str) -> SuppressionReason:
    reason = of.one_of(row, column, SuppressionReason, SuppressionReason.MANUAL)
    if reason is SuppressionReason.ERASED:
        raise InputError("suppressed", say("expected no erased person: their hash alone is kept"))
    return reason
