"""The key that makes an erased address a hash that nobody can turn back."""

import hmac
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ErasureKey:
    """Never changed: under another key the erased would be strangers, and could be imported."""

    secret: bytes = field(repr=False)

    def hashed(self, address_key: str) -> str:
        """HMAC-SHA256 of `Address.key`, in hexadecimal: the same for the same address."""
        return hmac.digest(self.secret, address_key.encode(), "sha256").hex()
