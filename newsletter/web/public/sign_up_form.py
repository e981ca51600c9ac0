"""The sign-up form of a list: what it asks, what comes back by it, when it was shown."""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Self
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.core.catalogues import READERS
from newsletter.core.clock import now
from newsletter.core.errors import InputError
from newsletter.core.sentences import Sentence, quoted, say
from newsletter.core.tokens import TokenKeys, sign, verify
from newsletter.issues.models import Newsletter
from newsletter.mail.address import Address
from subscribers import sign_up_fields
from subscribers.models import SubscriberList
from subscribers.sign_up import fields_of, wording_of
from subscribers.sign_up_fields import SignUpField

ADDRESS = sign_up_fields.ADDRESS
TRAP = "homepage"
"""A field that no person sees; whoever fills it in is a program."""
MINIMUM_SECONDS = 2
"""Nobody reads the page and types an address in less."""
_STAMP_SECONDS = 86_400
_STAMP = struct.Struct(">II")
_MOST_PARTS = 64
_EDITION_CHARACTERS = 12
_ANSWER = "field_"
_SLUG = re.compile(r"[a-z0-9-]{1,80}")


class Door(StrEnum):
    """By which of a list's forms somebody comes."""

    PAGE = "page"
    EMBED = "embed"
    API = "api"
    CONFIRMATION = "confirmation"
    """The page that its mail leads to."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a list's form says and asks.

    Attributes:
        wording: what they agree to; the usual sentence is in the language of the page.
    """

    list_id: int
    slug: str
    list_name: str
    newsletter_name: str
    wording: Sentence
    confirms: bool
    fields: tuple[SignUpField, ...]

    @classmethod
    def of(cls, shown_by: SubscriberList, newsletter: Newsletter) -> Self:
        return cls(
            shown_by.id,
            shown_by.slug,
            shown_by.name,
            newsletter.name,
            wording_of(shown_by, newsletter.name),
            shown_by.confirms,
            fields_of(shown_by),
        )

    def stamp(self, keys: TokenKeys) -> str:
        """Goes into the form and says when it was shown."""
        return sign(keys, "sign-up", _STAMP.pack(self.list_id, int(now().timestamp())))

    def wording_in(self, language: str) -> str:
        """As the form shows it."""
        return str(READERS.translated(language, self.wording))

    def edition_in(self, language: str) -> str:
        """Goes into the form and says which wording it showed."""
        return _edition(self.wording_in(language))

    def shown(self, edition: str) -> str | None:
        """The wording that a form of this edition showed; None when it says something else now."""
        said = map(self.wording_in, READERS.languages())
        return next((wording for wording in said if _edition(wording) == edition), None)

    def was_read(self, keys: TokenKeys, stamp: str) -> bool:
        """The form was shown lately, and long enough before it was sent."""
        payload = verify(keys, "sign-up", stamp)
        if payload is None or len(payload) != _STAMP.size:
            return False
        list_id, shown_at = _STAMP.unpack(payload)
        age = now().timestamp() - shown_at
        return bool(list_id == self.list_id and MINIMUM_SECONDS <= age < _STAMP_SECONDS)


@dataclass(frozen=True, slots=True)
class Submission:
    """What somebody sent.

    Attributes:
        answers: as typed, by key of the list's fields.
        trap: what was typed where nobody types.
        edition: of the wording that was shown; a program that names none showed the English one.
    """

    email: str
    answers: Mapping[str, str] = field(default_factory=dict)
    trap: str = ""
    stamp: str = ""
    edition: str = ""
    proof: str = ""

    @classmethod
    def of_form(cls, body: bytes) -> Self:
        """From an HTML form.

        Raises:
            InputError: too many parts to be one of ours.
        """
        try:
            parts = dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=_MOST_PARTS))
        except ValueError:
            raise InputError(
                "body", say("expected at most %(most)s fields", most=_MOST_PARTS)
            ) from None
        answers = {
            name.removeprefix(_ANSWER): text
            for name, text in parts.items()
            if name.startswith(_ANSWER)
        }
        return cls(
            parts.get(ADDRESS, ""),
            answers,
            parts.get(TRAP, ""),
            parts.get("stamp", ""),
            parts.get("edition", ""),
            parts.get("altcha", ""),
        )

    @classmethod
    def of_json(cls, body: bytes) -> Self:
        """From a program.

        Raises:
            InputError: names the place in the document, and what was expected there.
        """
        try:
            read = _Document.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "body"
            raise InputError(place, quoted(first["msg"])) from None
        return cls(read.email, read.fields, read.homepage, edition=read.edition, proof=read.altcha)

    def checked(self, form: Form) -> tuple[Address | None, dict[str, str], dict[str, Sentence]]:
        """(address, answers, what is wrong by field), each sentence for a person to read."""
        problems: dict[str, Sentence] = {}
        address = None
        try:
            address = Address.parse(self.email, place=ADDRESS)
        except InputError:
            problems[ADDRESS] = say("Please type your address as in ada@example.org.")
        answers: dict[str, str] = {}
        for asked in form.fields:
            try:
                answers[asked.key] = asked.answer(self.answers.get(asked.key, ""))
            except InputError as error:
                problems[asked.key] = error.problem
        return address, answers, problems


def _edition(wording: str) -> str:
    return sha256(wording.encode()).hexdigest()[:_EDITION_CHARACTERS]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    email: str
    fields: dict[str, str] = Field(default_factory=dict, max_length=_MOST_PARTS)
    edition: str = ""
    altcha: str = ""
    homepage: str = ""


def public_form(session: Session, slug: str) -> Form | None:
    """The form of a public list; None when there is none, or nobody to send its mail."""
    if not _SLUG.fullmatch(slug):
        return None
    found = session.execute(
        select(SubscriberList, Newsletter)
        .join(Newsletter, Newsletter.id == SubscriberList.newsletter_id)
        .where(SubscriberList.slug == slug, SubscriberList.is_public)
    ).first()
    return Form.of(*found) if found else None
