"""Which databases there are, asked before anything is opened; pure, as the settings are."""

from urllib.parse import urlsplit

_EXPECTED = (
    "expected sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/NAME "
    "(special characters as %XX)"
)


def check_database_url(text: str) -> str:
    """The URL, if it is one of SQLite or PostgreSQL.

    Raises:
        ValueError: it is not; never shows the URL, which may hold a password.
    """
    try:
        parts = urlsplit(text)
        is_number = parts.port is None or parts.port >= 0
    except ValueError:
        is_number = False
    if not is_number or "://" not in text:
        raise ValueError(_EXPECTED)
    if parts.scheme.partition("+")[0] not in ("sqlite", "postgresql"):
        raise ValueError(f"{_EXPECTED}, found {parts.scheme}://…")
    return text
