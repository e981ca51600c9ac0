"""Settings from the environment: `NEWSLETTER_SECTION__KEY`, named as they are written."""

import json
import os
from collections.abc import Iterable
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from newsletter.core.errors import ConfigurationError
from newsletter.core.sentences import say

PREFIX = "NEWSLETTER_"
_NO_SETTINGS = {"NEWSLETTER_CONFIG", "NEWSLETTER_FAILPOINT"}
_EXAMPLES = {
    "relays": """, such as [{"name": "main", "url": "smtps://USER:PASSWORD@HOST"}]""",
    "dkim": """, such as [{"domain": "example.org", "selector": "a", "key_file": "a.pem"}]""",
}
"""Of lists that are not just words."""


class Environment(EnvSettingsSource):
    """The environment's variables; a list is JSON, or words with commas between them."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: str) -> Any:
        """Called by the base class for every value that is no plain text."""
        del field
        is_json = value.lstrip().startswith(("[", "{"))
        if not is_json and field_name not in _EXAMPLES:
            return [word.strip() for word in value.split(",") if word.strip()]
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            example = _EXAMPLES.get(field_name, "")
            raise ConfigurationError(
                say(
                    "%(name)s: expected JSON%(example)s",
                    name=_variable_of(field_name),
                    example=example,
                )
            ) from None


def refuse_unknown(sections: Iterable[str]) -> None:
    """A misspelt variable would be ignored in silence, and its default apply.

    Raises:
        ConfigurationError: names the variable and the beginnings there are.
    """
    known = [f"{PREFIX}{section.upper()}" for section in sections]
    for name, value in os.environ.items():
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in _NO_SETTINGS or not value:
            continue
        if upper.partition("__")[0] not in known:
            raise ConfigurationError(
                say(
                    "%(name)s: there is no such setting; they begin with %(known)s",
                    name=name,
                    known=", ".join(known),
                )
            )


def place(location: tuple[int | str, ...]) -> str:
    """A setting as `site.port`, with the variable where that has set it."""
    words = [str(part) for part in location]
    variables = {PREFIX + "__".join(words[:n]).upper() for n in range(1, len(words) + 1)}
    found = next((name for name in os.environ if name.upper() in variables), "")
    return (".".join(words) or "settings") + (f" ({found})" if found else "")


def _variable_of(key: str) -> str:
    """The variable that sets the key, as it is written."""
    ends = (f"{PREFIX}{key}".upper(), f"__{key}".upper())
    ours = (name for name in os.environ if name.upper().startswith(PREFIX))
    return next((name for name in ours if name.upper().endswith(ends)), ends[0])
