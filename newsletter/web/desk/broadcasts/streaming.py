"""The live page's stream: server-sent events that a browser takes up again by itself."""

from collections.abc import AsyncIterator, Callable
from time import monotonic

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from newsletter.accounts.permissions import Permission
from newsletter.web.deps import Running
from newsletter.web.desk.broadcasts.showing import is_held, live_parts, live_variables
from newsletter.web.desk.broadcasts.watching import Publisher, Publishers, Seen
from newsletter.web.desk.guard import Seated, desk_router, needs, still_allowed
from newsletter.web.desk.pages import markup

router = desk_router()

TICK_SECONDS = 1.0
"""How long a stream that has nothing to say takes to see that the process is about to end."""
HEARTBEAT_SECONDS = 15.0
ASK_AGAIN_SECONDS = 30.0
"""After that the guard is asked again whether they may still watch."""
_RECONNECT_MILLISECONDS = 2_000
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@router.get("/broadcasts/{broadcast_id}/stream")
@needs(Permission.READ)
async def stream(request: Request, broadcast_id: int, runtime: Running, editor: Seated) -> Response:
    """Parts of the live page, each when it has changed."""
    del runtime, editor
    events = Stream(request, broadcast_id)
    return StreamingResponse(events.run(), media_type="text/event-stream", headers=_HEADERS)


class Stream:
    """What one browser is told."""

    def __init__(self, request: Request, broadcast_id: int) -> None:
        self._request = request
        self._broadcast_id = broadcast_id
        self._shown: dict[str, str] = {}
        self._asked_at = self._spoke_at = monotonic()
        self._seen_id = request.headers.get("last-event-id", "")

    async def run(self) -> AsyncIterator[str]:
        """Until the broadcast is over, they may not watch any more, or the process ends."""
        publishers: Publishers = self._request.app.state.publishers
        is_ending: Callable[[], bool] = self._request.app.state.is_ending
        yield f"retry: {_RECONNECT_MILLISECONDS}\n\n"
        async with publishers.watching(self._broadcast_id) as publisher:
            while not is_ending():
                if not await self._may_still_watch():
                    yield event("state", markup(self._request, "broadcasts/logged_out.html"))
                    yield event("over", "")
                    return
                for text in self._news(publisher):
                    yield text
                if publisher.latest and publisher.latest.standing.is_over:
                    yield event("over", "", publisher.event_id)
                    return
                if publisher.has_ended:
                    return  # the browser comes back, and somebody looks anew
                await publisher.wait(TICK_SECONDS)

    async def _may_still_watch(self) -> bool:
        if monotonic() - self._asked_at < ASK_AGAIN_SECONDS:
            return True
        self._asked_at = monotonic()
        return await still_allowed(self._request, Permission.READ)

    def _news(self, publisher: Publisher) -> list[str]:
        """Events that this browser has not had; now and then a sign of life."""
        seen, number = publisher.latest, publisher.event_id
        if seen is None or (number == self._seen_id and not is_held(seen.standing)):
            return self._sign_of_life()
        told = [event(name, html, number) for name, html in self._changed(seen)]
        self._seen_id = number
        return self._spoken(told) if told else self._sign_of_life()

    def _changed(self, seen: Seen) -> list[tuple[str, str]]:
        parts = live_parts(self._request, live_variables(self._request, seen))
        changed = [(name, html) for name, html in parts.items() if self._shown.get(name) != html]
        self._shown = parts
        return changed

    def _sign_of_life(self) -> list[str]:
        is_due = monotonic() - self._spoke_at >= HEARTBEAT_SECONDS
        return self._spoken([": still here\n\n"]) if is_due else []

    def _spoken(self, told: list[str]) -> list[str]:
        self._spoke_at = monotonic()
        return told


def event(name: str, text: str, number: str = "") -> str:
    """One server-sent event; every line of its data is a field of its own."""
    lines = [f"event: {name}", *(f"data: {line}" for line in text.split("\n"))]
    if number:
        lines.append(f"id: {number}")
    return "\n".join(lines) + "\n\n"
