"""Keys of the tests, and two receivers that check signatures without asking DNS."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import dkim
from pydantic import SecretStr

from newsletter.core.sections import DkimSettings
from newsletter.mail import dkim_keys
from newsletter.mail.dkim import Signer
from newsletter.mail.dkim_keys import Algorithm
from tests.conftest import need
from tests.servers import packages

RSA = Signer("example.org", "a", dkim_keys.make(Algorithm.RSA))
ED25519 = Signer("example.org", "b", dkim_keys.make(Algorithm.ED25519))
BOTH = (RSA, ED25519)


def dns(name: bytes, timeout: float = 0) -> bytes | None:
    """What DNS would say of the keys above."""
    return records().get(name.decode().rstrip("."), "").encode() or None


def verified(wire: bytes) -> Sequence[bool]:
    """Of each signature, from the top, whether dkimpy takes it."""
    receiver = dkim.DKIM(wire)
    count = sum(name.lower() == b"dkim-signature" for name, _ in receiver.headers)
    return [_holds(wire, number) for number in range(count)]


def judged_by_opendkim(wire: bytes, records: Mapping[str, str], folder: Path) -> Sequence[str]:
    """What opendkim writes for each signature, such as `pass rsa-sha256`."""
    need(packages.OPENDKIM)
    (folder / "records").write_text("".join(f"{n} {record}\n" for n, record in records.items()))
    (folder / "opendkim.conf").write_text(f"Mode v\nTestDNSData file:{folder / 'records'}\n")
    (folder / "message.eml").write_bytes(wire)
    said = subprocess.run(
        [str(packages.OPENDKIM.path()), "-x", "opendkim.conf", "-vv", "-t", "message.eml"],
        cwd=folder,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    found = re.findall(r"dkim=(\w+) .*header\.a=([\w-]+)", said)
    return [f"{verdict} {algorithm}" for verdict, algorithm in found]


def setting(signer: Signer, newsletter: str = "") -> DkimSettings:
    pem = SecretStr(dkim_keys.written(signer.key).decode())
    return DkimSettings(
        domain=signer.domain, selector=signer.selector, key=pem, newsletter=newsletter
    )


def records() -> Mapping[str, str]:
    """By name, what DNS would hold."""
    return {
        dkim_keys.record_name(signer.domain, signer.selector): dkim_keys.record(signer.key)
        for signer in BOTH
    }


def _holds(wire: bytes, number: int) -> bool:
    try:
        return bool(dkim.DKIM(wire).verify(idx=number, dnsfunc=dns))
    except dkim.ValidationError:
        return False
