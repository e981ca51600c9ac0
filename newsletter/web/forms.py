"""What an HTML form sent: fields with their values, as text that every database takes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import Depends, HTTPException, Request

from newsletter.web.bodies import read_body

_MOST_FIELDS = 500
_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form that was sent."""

    fields: Mapping[str, Sequence[str]]

    def __contains__(self, name: str) -> bool:
        return name in self.fields

    def one(self, name: str) -> str:
        """The field's last value; empty when it was not sent."""
        return self.fields.get(name, [""])[-1]

    def numbers(self, name: str) -> set[int]:
        """All of the field's values that are numbers."""
        values = self.fields.get(name, ())
        return {int(value) for value in values if _NUMBER.fullmatch(value)}


async def _sent(request: Request) -> Form:
    body = (await read_body(request)).decode("utf-8", "replace")
    try:
        fields = parse_qs(body, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise HTTPException(413) from None
    return Form({name: [v.replace("\0", "") for v in values] for name, values in fields.items()})


Sent = Annotated[Form, Depends(_sent)]
