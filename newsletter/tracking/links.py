"""From a click's token and number to the frozen destination: the URL never comes from outside."""

from functools import lru_cache

from newsletter.broadcasts.models import Content
from newsletter.core.db import Sessions
from newsletter.rendering.compiled import CompiledEmail


def destination(sessions: Sessions, broadcast_id: int, number: int) -> str | None:
    """Where link `number` of a broadcast leads; None when there is no such link (any more)."""
    return _links(sessions, broadcast_id).get(number)


@lru_cache(maxsize=64)
def _links(sessions: Sessions, broadcast_id: int) -> dict[int, str]:
    """Frozen content never changes, so it may be remembered."""
    with sessions.reading() as session:
        content = session.get(Content, broadcast_id)
        if content is None:
            return {}
        email = CompiledEmail.from_json(content.compiled)
    return {link.number: link.url for link in email.links}
