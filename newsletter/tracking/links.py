"""From a click's token and number to the frozen destination: the URL never comes from outside."""

from collections.abc import Mapping

from newsletter.broadcasts.models import Content
from newsletter.core.db import Sessions
from newsletter.rendering.compiled import CompiledEmail

_MOST_REMEMBERED = 64

Destinations = Mapping[int, str]
"""Number -> URL."""


class Links:
    """The links of broadcasts; frozen content never changes, so they may be remembered."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._remembered: dict[int, Destinations] = {}

    def remembered(self, broadcast_id: int) -> Destinations | None:
        """What is known without asking the database."""
        return self._remembered.get(broadcast_id)

    def read(self, broadcast_id: int) -> Destinations:
        """Where a broadcast's links lead; empty when there is no such broadcast (any more)."""
        with self._sessions.reading() as session:
            content = session.get(Content, broadcast_id)
            if content is None:
                return {}
            email = CompiledEmail.from_json(content.compiled)
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        return self._remembered.setdefault(
            broadcast_id, {link.number: link.url for link in email.links}
        )
