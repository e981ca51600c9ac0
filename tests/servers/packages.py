"""Programs that tests need: found, installed where that is possible, or named."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_POLICY = Path("/usr/sbin/policy-rc.d")


@dataclass(frozen=True, slots=True)
class Program:
    """A program and the Debian package that it comes with."""

    name: str
    package: str

    def path(self) -> Path | None:
        folders = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), "/usr/sbin"]
        search = os.pathsep.join([os.environ.get("PATH", ""), *map(str, folders)])
        found = shutil.which(self.name, path=search)
        return Path(found) if found else None


CHROMIUM = Program("chromium", "chromium")
DOVECOT = Program("dovecot", "dovecot-imapd")
DOVECOT_IMAP = Program("/usr/lib/dovecot/imap", "dovecot-imapd")
DOVECOT_POP3 = Program("/usr/lib/dovecot/pop3", "dovecot-pop3d")
INITDB = Program("initdb", "postgresql")
POSTGRES = Program("postgres", "postgresql")
NPM = Program("npm", "npm")
OPENDKIM = Program("opendkim", "opendkim")
PG_DUMP = Program("pg_dump", "postgresql-client")
PSQL = Program("psql", "postgresql-client")
REDIS = Program("redis-server", "redis-server")
SMTP_SINK = Program("smtp-sink", "postfix")
SPAMASSASSIN = Program("spamassassin", "spamassassin")

ALL = (
    *(CHROMIUM, DOVECOT, DOVECOT_IMAP, DOVECOT_POP3, INITDB, NPM, OPENDKIM, POSTGRES, REDIS),
    *(SMTP_SINK, SPAMASSASSIN, PG_DUMP, PSQL),
)


def install_missing() -> None:
    """Install what is missing, as root on Debian; elsewhere the tests that need it say so."""
    packages = sorted({program.package for program in ALL if program.path() is None})
    if not packages or os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    print(f"Installing for the tests: {', '.join(packages)}", flush=True)
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    with _no_service_starts():
        for command in (["apt-get", "update", "-qq"], install):
            subprocess.run(
                command,
                check=False,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                stdout=subprocess.DEVNULL,
            )


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """A package that is installed would start its server; Debian asks this script first."""
    ours = not _POLICY.exists()
    if ours:
        _POLICY.write_text("#!/bin/sh\nexit 101\n")
        _POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            _POLICY.unlink()
