"""Numbers that strangers write into addresses: no more than what a database's column holds."""

MOST = 2**31 - 1
"""Of a plain whole number."""
MOST_BIG = 10**18 - 1
"""Of a `BigId`, with room to count on from there."""
_MOST_DIGITS = 18


def read_number(text: str, most: int = MOST) -> int | None:
    """The whole number from 0 on that the digits say; None: they say none, or too large a one."""
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        return None
    number = int(text)
    return number if number <= most else None
