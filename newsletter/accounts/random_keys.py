"""Random text that lets somebody in, and what of it is kept: a hash.

256 random bits need no salt and no slow hash: nobody guesses them, whatever the table tells.
"""

import secrets
from hashlib import sha256

_BYTES = 32


def new_secret() -> str:
    """256 random bits as base64url text."""
    return secrets.token_urlsafe(_BYTES)


def key_of(secret: str) -> str:
    """What the table holds of it: SHA-256 in hexadecimal."""
    return sha256(secret.encode()).hexdigest()
