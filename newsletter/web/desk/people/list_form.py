"""The form of a list's settings: what was typed, read back, and its fields moved about."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from newsletter.core.errors import InputError
from newsletter.web.desk.forms import Form
from newsletter.web.desk.problems import capitalised
from newsletter.web.desk.text import _
from subscribers.lists import ListSettings, checked_name, checked_wording
from subscribers.models import SubscriberList
from subscribers.sign_up import fields_of
from subscribers.sign_up_fields import MAX_FIELDS, SignUpField, check_together

_FIELDS = "fields"


@dataclass(frozen=True, slots=True)
class Question:
    """One field of the sign-up form as it was typed."""

    key: str = ""
    label: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class ListForm:
    """The settings as they were typed."""

    name: str
    is_public: bool
    confirms: bool
    welcomes: bool
    wording: str
    questions: tuple[Question, ...]

    @classmethod
    def of(cls, shown: SubscriberList) -> Self:
        asked = tuple(Question(each.key, each.label, each.required) for each in fields_of(shown))
        return cls(
            shown.name, shown.is_public, shown.confirms, shown.welcomes, shown.wording, asked
        )

    @classmethod
    def sent(cls, sent: Form) -> Self:
        keys, labels = sent.all("field_key"), sent.all("field_label")
        required = set(sent.all("field_required"))
        questions = tuple(
            Question(key, label, str(place) in required)
            for place, (key, label) in enumerate(zip(keys, labels, strict=False))
        )
        return cls(
            sent.one("name"),
            "is_public" in sent,
            "confirms" in sent,
            "welcomes" in sent,
            sent.one("wording"),
            questions[:MAX_FIELDS],
        )

    def moved(self, deed: str) -> Self:
        """After a button of the fields: `add`, `up-2`, `down-0`, `drop-1`."""
        verb, _sep, place = deed.partition("-")
        at = int(place) if place.isdecimal() and len(place) < len("100") else -1
        return replace(self, questions=tuple(_moved(list(self.questions), verb, at)))

    def read(self) -> tuple[ListSettings | None, dict[str, str]]:
        """What is wanted, or what is wrong with it, by the name of what was typed."""
        problems: dict[str, str] = {}
        for check, typed in ((checked_name, self.name), (checked_wording, self.wording)):
            try:
                check(typed)
            except InputError as error:
                problems[error.place] = capitalised(error.problem)
        fields = self._fields(problems)
        if problems:
            return None, problems
        return (
            ListSettings(
                self.name, self.is_public, self.confirms, self.welcomes, self.wording, fields
            ),
            {},
        )

    def _fields(self, problems: dict[str, str]) -> tuple[SignUpField, ...]:
        found: list[SignUpField] = []
        for place, asked in enumerate(self.questions):
            if not (asked.key or asked.label):
                continue  # an empty line asks nothing
            try:
                found.append(
                    SignUpField.checked(
                        asked.key, asked.label, required=asked.required, place=f"field-{place}"
                    )
                )
            except InputError as error:
                problems[error.place] = capitalised(error.problem)
        try:
            check_together(found, place=_FIELDS)
        except InputError as error:
            problems[error.place] = capitalised(error.problem)
        return tuple(found)


def _moved(questions: list[Question], verb: str, at: int) -> Sequence[Question]:
    if verb == "add":
        return [*questions, Question()][:MAX_FIELDS]
    if not 0 <= at < len(questions):
        return questions
    moved = questions.pop(at)
    if verb == "drop":
        return questions
    questions.insert(max(at - 1, 0) if verb == "up" else at + 1, moved)
    return questions


def said(changes: Sequence[str]) -> str:
    """What the page says after saving."""
    return _("Saved.") if changes else _("Nothing was different.")
