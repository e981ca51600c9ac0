"""Dovecot as a test's own process: IMAP and POP3 on free ports of 127.0.0.1, one mailbox."""

import grp
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import make_authority
from tests.servers.packages import DOVECOT
from tests.servers.processes import _folder, _takes_connections, free_port, unprivileged

USER, PASSWORD = "reader", "a-password-of-tests"
_PATIENCE_SECONDS = 30
_CONFIGURATION = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap pop3
listen = 127.0.0.1
ssl = yes
ssl_cert = <{folder}/server.pem
ssl_key = <{folder}/server.pem
disable_plaintext_auth = no
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {login_user}
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:{folder}/mail
pop3_uidl_format = %g
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/home
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


@dataclass(frozen=True, slots=True)
class Dovecot:
    """A running server with the mailbox of `USER`."""

    folder: Path
    ports: Mapping[str, int]

    def url(self, protocol: str, *, options: str = "tls=none", password: str = PASSWORD) -> str:
        """`protocol` is imap, imaps, pop3 or pop3s."""
        return f"{protocol}://{USER}:{password}@127.0.0.1:{self.ports[protocol]}?{options}"

    @property
    def authority(self) -> Path:
        return self.folder / "authority.pem"

    def deliver(self, name: str, mail: bytes) -> None:
        """As a mail system does: written aside, then moved in whole."""
        maildir = self.folder / "mail"
        draft = maildir / "tmp" / name
        draft.write_bytes(mail)
        owner = unprivileged()
        if owner:
            os.chown(draft, owner.pw_uid, owner.pw_gid)
        draft.rename(maildir / "new" / name)

    def mails(self) -> dict[str, str]:
        """What is in the mailbox now: the name it was delivered by, and its flags."""
        files = [
            file.name.partition(":2,")
            for part in ("new", "cur")
            for file in (self.folder / "mail" / part).iterdir()
        ]
        return {name.partition(",")[0]: flags for name, _, flags in files}


@contextmanager
def dovecot() -> Iterator[Dovecot]:
    """Ended with the block, by its id."""
    with _folder() as folder:
        ports = {protocol: free_port() for protocol in ("imap", "imaps", "pop3", "pop3s")}
        server = Dovecot(folder, ports)
        _prepare(server)
        process = subprocess.Popen(
            [str(DOVECOT.path()), "-F", "-c", str(folder / "dovecot.conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for(process, server)
            yield server
        finally:
            process.terminate()
            process.wait(timeout=_PATIENCE_SECONDS)


def _prepare(server: Dovecot) -> None:
    """As root it wants accounts that own nothing else; as anybody else it runs as that."""
    owner = unprivileged() or pwd.getpwuid(os.getuid())
    group = grp.getgrgid(owner.pw_gid)
    login = "nobody" if os.geteuid() == 0 else owner.pw_name
    for part in ("new", "cur", "tmp"):
        (server.folder / "mail" / part).mkdir(parents=True)
    (server.folder / "home").mkdir()
    make_authority(server.folder)
    if os.geteuid() == 0:
        for path in (server.folder, *server.folder.rglob("*")):
            shutil.chown(path, owner.pw_uid, owner.pw_gid)
    (server.folder / "dovecot.conf").write_text(
        _CONFIGURATION.format(
            folder=server.folder,
            user=owner.pw_name,
            group=group.gr_name,
            login_user=login,
            password=PASSWORD,
            **server.ports,
        )
    )


def _wait_for(process: subprocess.Popen[bytes], server: Dovecot) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while not all(_takes_connections(port) for port in server.ports.values()):
        log = server.folder / "log"
        said = log.read_text() if log.exists() else ""
        assert process.poll() is None, said
        assert time.monotonic() < end, said
        time.sleep(0.05)
