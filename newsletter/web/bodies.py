"""How much anybody may send us."""

from fastapi import HTTPException, Request

MAX_BODY_BYTES = 8_192


async def read_body(request: Request) -> bytes:
    """The body, also of a request that did not say beforehand how long it is.

    Raises:
        HTTPException: it is too long.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413)
    return body
