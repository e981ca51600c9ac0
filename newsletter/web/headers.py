"""The headers that every answer carries."""

STRICT = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' https:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

WITH_WORKER = STRICT["Content-Security-Policy"] + "; script-src 'self'; worker-src 'self'"
"""For the one page whose script has something to compute."""
