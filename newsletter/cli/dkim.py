"""`newsletter dkim`: keys that sign mail, and the DNS records that let others check."""

import json
import os
import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from newsletter.cli import output, state
from newsletter.core.errors import InputError, RefusedError
from newsletter.core.sections import SELECTOR, SELECTOR_CHARACTERS
from newsletter.core.sentences import say
from newsletter.mail import dkim_keys
from newsletter.mail.address import Address
from newsletter.mail.dkim import Signer
from newsletter.mail.dkim_keys import Algorithm
from newsletter.sending.signing import keyring_of

app = typer.Typer(help="Make and show the keys that sign mail (DKIM).", no_args_is_help=True)


class Kinds(StrEnum):
    """Which keys to make."""

    RSA = "rsa"
    ED25519 = "ed25519"
    BOTH = "both"


@app.command()
def keygen(
    *,
    domain: Annotated[str, typer.Option(help="The domain of the sender's address.")],
    selector: Annotated[
        str, typer.Option(help="Names the key in DNS; never used before, such as 2026a.")
    ],
    algorithm: Annotated[
        Kinds, typer.Option(help="With both, the selectors end in -rsa and -ed25519.")
    ] = Kinds.BOTH,
    out: Annotated[Path, typer.Option(help="Folder for the key files.")] = Path(),
    dry_run: output.DryRun = False,
) -> None:
    """Make keys; print the DNS records and the settings. Never overwrites a file."""
    domain = Address.parse(f"postmaster@{domain}", place="--domain").domain
    chosen = _chosen(selector, algorithm)
    files = [out / f"{domain}.{name}.pem" for name, _ in chosen]
    for file in files:
        if file.exists():
            raise RefusedError(
                say("%(file)s is there already; a new key needs a new --selector", file=file)
            )
    if dry_run:
        output.say("\n".join(f"Would write {file}" for file in files))
        return
    signers = [Signer(domain, name, dkim_keys.make(kind)) for name, kind in chosen]
    for file, signer in zip(files, signers, strict=True):
        _write_private(file, dkim_keys.written(signer.key))
        output.say(f"Wrote {file}")
    output.say("\nInto DNS, and wait until it is there:\n")
    for signer in signers:
        output.say(_zone_line(signer))
    output.say("\nInto newsletter.toml, then start the processes anew:\n")
    for file, signer in zip(files, signers, strict=True):
        output.say(_toml(signer, file))


@app.command()
def show(*, as_json: output.AsJson = False) -> None:
    """Print the DNS records of the configured keys."""
    entries = keyring_of(state.settings()).entries
    if as_json:
        output.print_json([_as_data(signer, entry.newsletter) for entry, signer in entries])
        return
    if not entries:
        output.say(
            "No key is configured: mail leaves unsigned. `newsletter dkim keygen` makes one."
        )
    for entry, signer in entries:
        output.say(f"; {entry.newsletter or 'every newsletter'} at {signer.domain}")
        output.say(_zone_line(signer))
        if dkim_keys.is_short(signer.key):
            output.problem(f"The key {signer.selector!r} is short: expected 2048 bits or more.")


def _chosen(selector: str, kinds: Kinds) -> Sequence[tuple[str, Algorithm]]:
    """Selectors and what to make for them: a selector has one record, a record one key."""
    chosen = (
        [(f"{selector}-{kind}", kind) for kind in Algorithm]
        if kinds is Kinds.BOTH
        else [(selector, Algorithm(kinds.value))]
    )
    for name, _ in chosen:
        if not re.fullmatch(SELECTOR, name) or len(name) > SELECTOR_CHARACTERS:
            problem = say(
                "%(selector)r: expected a few lower-case letters, digits and hyphens",
                selector=selector,
            )
            raise InputError("--selector", problem)
    return chosen


def _write_private(path: Path, pem: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(pem)


def _zone_line(signer: Signer) -> str:
    """As a zone file has it; where DNS is edited in a form, the strings go without quotes."""
    name = dkim_keys.record_name(signer.domain, signer.selector)
    strings = " ".join(f'"{string}"' for string in dkim_keys.record_strings(signer.key))
    return f"{name}. IN TXT ( {strings} )"


def _toml(signer: Signer, file: Path) -> str:
    values = {"domain": signer.domain, "selector": signer.selector, "key_file": str(file)}
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    return "\n".join(["[[dkim]]", *lines, ""])


def _as_data(signer: Signer, newsletter: str) -> dict[str, Any]:
    return {
        "domain": signer.domain,
        "selector": signer.selector,
        "newsletter": newsletter,
        "algorithm": dkim_keys.algorithm_of(signer.key).value,
        "short": dkim_keys.is_short(signer.key),
        "name": dkim_keys.record_name(signer.domain, signer.selector),
        "type": "TXT",
        "value": dkim_keys.record(signer.key),
        "strings": dkim_keys.record_strings(signer.key),
    }
