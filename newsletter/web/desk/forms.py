"""What a form of the desk sent: fields and files, as text that every database takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import Message, Receive

from newsletter.core.errors import InputError
from newsletter.core.sentences import say

MOST_BYTES = 1_000_000
_MOST_FIELDS = 2_000
_MOST_FILES = 20


@dataclass(frozen=True, slots=True)
class Form:
    """The fields and files of a form that was sent."""

    fields: Mapping[str, Sequence[str]]
    files: Mapping[str, Sequence[UploadFile]]

    def __contains__(self, name: str) -> bool:
        return name in self.fields

    def one(self, name: str) -> str:
        """The field's last value, white space at its ends cut off; empty when it was not sent."""
        return self.text(name).strip()

    def text(self, name: str) -> str:
        """The field's last value as it was sent, lines ended by LF; empty when it was not sent."""
        return self.fields.get(name, [""])[-1].replace("\r\n", "\n")

    def all(self, name: str) -> list[str]:
        """All of the field's values, white space at their ends cut off."""
        return [value.strip() for value in self.fields.get(name, ())]

    def number(self, name: str) -> int | None:
        """The field as a whole number that fits into 32 bits; None when it is empty.

        Raises:
            InputError: it is something else.
        """
        value = self.one(name)
        if not value:
            return None
        if not (value.isascii() and value.isdecimal() and int(value[:11]) < 2**31):
            raise InputError(name, say("expected a number, found %(value)r", value=value[:40]))
        return int(value)

    def numbers(self, name: str) -> list[int]:
        """All of the field's values that are such numbers, in the order they were sent."""
        return [int(v) for v in self.all(name) if v.isascii() and v.isdecimal() and len(v) < 10]  # noqa: PLR2004

    def file(self, name: str) -> UploadFile | None:
        """The file that was chosen; None: none was."""
        chosen = [file for file in self.files.get(name, ()) if file.filename]
        return chosen[-1] if chosen else None


async def read(request: Request, most_bytes: int) -> Form:
    """The form in the body of a request.

    Raises:
        HTTPException: it is too long (413), or not a form (422).
    """
    capped = Request(request.scope, _capped(request.receive, most_bytes))
    try:
        sent = await capped.form(
            max_files=_MOST_FILES, max_fields=_MOST_FIELDS, max_part_size=most_bytes
        )
    except StarletteHTTPException as error:
        too_long = error.status_code == 413  # noqa: PLR2004 - ours; all else is no form
        raise HTTPException(413 if too_long else 422) from None
    except (ValueError, UnicodeDecodeError):
        raise HTTPException(422) from None
    fields: dict[str, list[str]] = {}
    files: dict[str, list[UploadFile]] = {}
    for name, value in sent.multi_items():
        if isinstance(value, UploadFile):
            files.setdefault(name, []).append(value)
        else:
            fields.setdefault(name, []).append(_stored(value))
    return Form(fields, files)


def _stored(value: str) -> str:
    """Without what PostgreSQL cannot keep: NUL, and halves of characters."""
    return value.replace("\0", "").encode("utf-8", "replace").decode()


def _capped(receive: Receive, most_bytes: int) -> Receive:
    """Count, since nobody has to say beforehand, or truly, how long a body is."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most_bytes:
            raise HTTPException(413)
        return message

    return counted


async def _sent(request: Request) -> Form:
    """The guard has read it, to look for the token in it."""
    form: Form = request.state.form
    return form


Sent = Annotated[Form, Depends(_sent)]
