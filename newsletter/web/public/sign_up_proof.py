"""Proof of work, self-hosted (ALTCHA): asked of networks from which very many sign up.

The challenge is signed and not kept; what is kept is that it was used.
"""

import hmac
import json
from datetime import UTC, datetime, timedelta

from altcha import Payload, create_challenge, verify_solution

from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.tokens import TokenKeys
from subscribers.sign_up_counts import count, count_key

_ALGORITHM = "PBKDF2/SHA-256"
_ROUNDS = 5_000
_PREFIX = "00"
"""One try in 256 begins so: about a second for a telephone, one try for us."""
_VALID_FOR = timedelta(minutes=20)


def challenge(keys: TokenKeys) -> str:
    """A new one, as JSON for `/static/altcha/pbkdf2.js`."""
    made = create_challenge(
        _ALGORITHM,
        _ROUNDS,
        key_prefix=_PREFIX,
        expires_at=now() + _VALID_FOR,
        hmac_secret=_secret(keys),
    )
    return json.dumps(made.to_dict())


def is_proved(sessions: Sessions, keys: TokenKeys, proof: str) -> bool:
    """The work was done for a challenge of ours that nobody has used yet; it is used now."""
    if not proof or not verify_solution(proof, _secret(keys)).verified:
        return False
    solved = Payload.from_base64(proof).challenge
    used = count_key(keys, "proof", str(solved.signature))
    until = datetime.fromtimestamp(solved.parameters.expires_at or 0, UTC)
    with sessions.at_once() as connection:
        return count(connection, [used], until)[used] == 1


def _secret(keys: TokenKeys) -> bytes:
    return hmac.digest(keys.current, b"newsletter sign-up proof", "sha256")
