"""What a list's sign-up form asks besides the address; values, pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from newsletter.core.errors import InputError
from newsletter.core.sentences import say
from subscribers.models import MAX_NAME_CHARACTERS

ADDRESS = "email"
"""Asked by every form; no key of a field."""
NAME = "name"
"""The key whose answer is the person's name; every other is an attribute."""
MAX_ANSWER_CHARACTERS = 500
MAX_FIELDS = 20
_MAX_LABEL_CHARACTERS = 100
_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
_REQUIRED = ":required"
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class SignUpField:
    """One question: `attributes[key]` holds the answer, `label` is what the form says."""

    key: str
    label: str
    required: bool = False

    @classmethod
    def parse(cls, text: str, *, place: str = "--field") -> "SignUpField":
        """From `KEY=LABEL` or `KEY=LABEL:required`.

        Raises:
            InputError: names what is wrong with it.
        """
        key, found, label = text.partition("=")
        label, required = label.removesuffix(_REQUIRED).strip(), label.endswith(_REQUIRED)
        if not found or not label:
            raise InputError(
                place, say("expected KEY=LABEL or KEY=LABEL:required, found %(text)r", text=text)
            )
        return cls.checked(key, label, required=required, place=place)

    @classmethod
    def checked(cls, key: str, label: str, *, required: bool, place: str) -> "SignUpField":
        """A question that a form may ask.

        Raises:
            InputError: names what is wrong with its key or label.
        """
        label = label.strip()
        if not _KEY.fullmatch(key) or key == ADDRESS:
            raise InputError(
                place,
                say("expected a key of a-z, 0-9 and _, such as `company`, found %(key)r", key=key),
            )
        if not 0 < len(label) <= _MAX_LABEL_CHARACTERS or _CONTROLS.search(label):
            raise InputError(
                place,
                say("expected a label of at most %(most)s characters", most=_MAX_LABEL_CHARACTERS),
            )
        return cls(key, label, required)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "SignUpField":
        return cls(data["key"], data["label"], data["required"])

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def most_characters(self) -> int:
        return MAX_NAME_CHARACTERS if self.key == NAME else MAX_ANSWER_CHARACTERS

    def answer(self, typed: str) -> str:
        """What was typed, tidied.

        Raises:
            InputError: names the key; nothing was typed where something must be, or too much.
        """
        tidied = _CONTROLS.sub("", typed).strip()
        if self.required and not tidied:
            raise InputError(self.key, say("Please fill in “%(label)s”.", label=self.label))
        if len(tidied) > self.most_characters:
            raise InputError(
                self.key,
                say(
                    "Please use at most %(most)s characters.",
                    most=self.most_characters,
                ),
            )
        return tidied


def read_fields(texts: Sequence[str]) -> tuple[SignUpField, ...]:
    """The fields of a form, as a command names them.

    Raises:
        InputError: one is wrong, a key comes twice, or they are too many to ask anybody.
    """
    fields = tuple(SignUpField.parse(text) for text in texts)
    check_together(fields, place="--field")
    return fields


def check_together(fields: Sequence[SignUpField], *, place: str) -> None:
    """Fields that one form may ask.

    Raises:
        InputError: a key comes twice, or they are too many to ask anybody.
    """
    keys = [field.key for field in fields]
    for key in keys:
        if keys.count(key) > 1:
            raise InputError(place, say("expected different keys, found %(key)r twice", key=key))
    if len(fields) > MAX_FIELDS:
        raise InputError(place, say("expected at most %(most)s fields", most=MAX_FIELDS))
