"""What DKIM adds to a recipient's message: `python -m benchmarks.signing` prints a table.

Figures are the best of many short turns: a signature always takes the same work, so whatever takes
longer is the machine doing something else.
"""

import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from math import inf

import dkim
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from newsletter.core.tokens import TokenKeys
from newsletter.mail import dkim_keys
from newsletter.mail.dkim import Signer
from newsletter.mail.dkim_keys import Algorithm
from newsletter.rendering.compiled import Frozen, WireForm
from newsletter.rendering.message import PreparedMail, personalise, prepare
from tests import factories

KEYS = TokenKeys.from_secrets("a secret of the benchmarks, long enough to be one")
RSA = Signer("example.org", "a", dkim_keys.make(Algorithm.RSA))
_KEY = Ed25519PrivateKey.generate()
SEED = _KEY.private_bytes_raw()
ED25519 = Signer("example.org", "b", _KEY)
SIZES = (40_000, 60_000)
MESSAGES, TURNS = 10, 300

ENTRY = """
### [Entry {number}](https://example.org/{number})
Somebody · [Source](https://example.org/)
A summary of what the entry is about, in a sentence or two, which is as long as they are.
"""


def main() -> None:
    """Measure both sizes and print the table."""
    print("| bytes | unsigned | Ed25519 | RSA-2048 | both | dkimpy, Ed25519 |")
    print("|---:|---:|---:|---:|---:|---:|")
    for size in SIZES:
        frozen = _of_size(size)
        signers = {"unsigned": [], "Ed25519": [ED25519], "RSA-2048": [RSA], "both": [RSA, ED25519]}
        mails = {name: prepare(frozen, WireForm.INDIVIDUAL, keys) for name, keys in signers.items()}
        wire = _message(mails["unsigned"])
        figures = [*_best(mails), min(_dkimpy_seconds(wire) for _ in range(TURNS // 10))]
        cpu = " | ".join(f"{seconds * 1e6:,.0f} µs" for seconds in figures)
        print(f"| {len(wire):,} | {cpu} |")


def alone(signer: Signer) -> float:
    """CPU seconds of the operation with the private key, without hashing a body."""
    header = b"a header field\r\n" * 40
    return min(_cpu_seconds(partial(signer.sign, header)) for _ in range(TURNS))


def _of_size(size: int) -> Frozen:
    """An issue with as many entries as it takes."""
    text = factories.MARKDOWN
    for number in range(1, size):
        text += ENTRY.format(number=number)
        frozen = factories.frozen(factories.compiled(text).email)
        if len(_message(prepare(frozen, WireForm.INDIVIDUAL))) >= size:
            return frozen
    raise AssertionError("an entry has a size")


def _message(mail: PreparedMail) -> bytes:
    return personalise(mail, factories.recipient(), 1, KEYS)


def _best(mails: Mapping[str, PreparedMail]) -> Iterable[float]:
    """CPU seconds per message, the contestants taking turns."""
    best = dict.fromkeys(mails, inf)
    for _ in range(TURNS):
        for name, mail in mails.items():
            best[name] = min(best[name], _cpu_seconds(partial(_many, mail)) / MESSAGES)
    return best.values()


def _cpu_seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _many(mail: PreparedMail) -> None:
    for _ in range(MESSAGES):
        _message(mail)


def _dkimpy_seconds(wire: bytes) -> float:
    """CPU seconds of the signature alone; the message is there already."""
    sign = partial(
        dkim.sign,
        wire,
        b"b",
        b"example.org",
        b64encode(SEED),
        canonicalize=(b"relaxed", b"relaxed"),
        signature_algorithm=b"ed25519-sha256",
    )
    return _cpu_seconds(sign)


if __name__ == "__main__":
    main()
