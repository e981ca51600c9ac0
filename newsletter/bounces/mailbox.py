"""A mailbox that others write to: IMAP or POP3, heads of mails only, as much as is needed.

The head of a mail says who wants to leave; bodies quote anything, and are not even fetched.
"""

import imaplib
import poplib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

from newsletter.bounces.mailbox_url import MailboxUrl
from newsletter.core.errors import NewsletterError
from newsletter.core.sentences import say

HEAD_BYTES = 65_536
"""Of a longer head only the beginning is looked at."""
TIMEOUT_SECONDS = 30

_FAULTS = (OSError, EOFError, imaplib.IMAP4.error, poplib.error_proto)


class MailboxError(NewsletterError):
    """The mailbox cannot be read: names the host and what it said."""


class Mailbox(Protocol):
    """An open mailbox."""

    def uids(self) -> Sequence[str]:
        """What the server calls its mails, for good; the oldest first."""
        ...

    def head(self, uid: str) -> bytes:
        """The header fields of one mail; empty when they cannot be read."""
        ...

    def delete(self, uids: Sequence[str]) -> None:
        """Take these mails out of the mailbox, at the latest when it is closed."""
        ...


@contextmanager
def open_mailbox(url: MailboxUrl, *, read_only: bool = False) -> Iterator[Mailbox]:
    """The mailbox at `url` while the block runs; `read_only` changes nothing in it, not even flags.

    Raises:
        MailboxError: it cannot be opened or read, or the connection is lost.
        ConfigurationError: the file that `?ca=` names cannot be read.
    """
    try:
        if url.scheme.startswith("imap"):
            with _imap(url) as connection:
                yield _Imap(connection, url.folder, read_only=read_only)
        else:
            with _pop3(url) as mailbox:
                yield mailbox
    except _FAULTS as error:
        raise MailboxError(
            say("mailbox at %(host)s: %(error)s", host=url.host, error=_said(error))
        ) from None


class _Imap:
    """RFC 3501; a mail is called by UIDVALIDITY and UID."""

    def __init__(self, connection: imaplib.IMAP4, folder: str, *, read_only: bool) -> None:
        self._connection = connection
        escaped = folder.replace("\\", "\\\\").replace('"', '\\"')
        _checked(connection.select(f'"{escaped}"', readonly=read_only))
        _, (validity,) = connection.response("UIDVALIDITY")
        self._validity = validity.decode() if isinstance(validity, bytes) else "0"
        (offered,) = _checked(connection.capability())  # more than before the login
        self._expunges_alone = isinstance(offered, bytes) and b"UIDPLUS" in offered.split()

    def uids(self) -> Sequence[str]:
        found = _checked(self._connection.uid("SEARCH", "UNDELETED"))[0]
        numbers = found.split() if isinstance(found, bytes) else []
        return [f"{self._validity}.{number.decode()}" for number in numbers]

    def head(self, uid: str) -> bytes:
        wanted = f"(BODY.PEEK[HEADER]<0.{HEAD_BYTES}>)"
        for part in _checked(self._connection.uid("FETCH", _number(uid), wanted)):
            if isinstance(part, tuple):
                return bytes(part[1])
        return b""

    def delete(self, uids: Sequence[str]) -> None:
        """Where the server cannot expunge these alone (RFC 4315), they are marked as deleted."""
        for uid in uids:
            number = _number(uid)
            _checked(self._connection.uid("STORE", number, "+FLAGS", r"(\Seen \Deleted)"))
            if self._expunges_alone:
                _checked(self._connection.uid("EXPUNGE", number))


class _Pop3:
    """RFC 1939 with UIDL and TOP; what is deleted is gone when the session ends well."""

    def __init__(self, url: MailboxUrl) -> None:
        self._url = url
        self.connection = _logged_in(url)
        self._numbers = self._listed()

    def uids(self) -> Sequence[str]:
        return list(self._numbers)

    def head(self, uid: str) -> bytes:
        try:
            _, lines, _ = self.connection.top(self._numbers[uid], 0)
        except poplib.error_proto as error:
            if "line too long" not in str(error):
                return b""  # a mail that the server cannot show; the next one may do
            self._begin_anew()
            return b""
        return b"\r\n".join(lines)[:HEAD_BYTES] + b"\r\n"

    def delete(self, uids: Sequence[str]) -> None:
        for uid in uids:
            self.connection.dele(self._numbers[uid])

    def _begin_anew(self) -> None:
        """The library gave up in the middle of an answer: what follows is no reply."""
        _hang_up(self.connection)
        self.connection = _logged_in(self._url)
        self._numbers = self._listed()

    def _listed(self) -> dict[str, int]:
        _, lines, _ = self.connection.uidl()
        pairs = [line.decode("ascii", "replace").split(maxsplit=1) for line in lines]
        return {uid: int(number) for number, uid in pairs}


@contextmanager
def _imap(url: MailboxUrl) -> Iterator[imaplib.IMAP4]:
    context = url.tls_context()
    if url.scheme == "imaps":
        connection: imaplib.IMAP4 = imaplib.IMAP4_SSL(
            url.host, url.port, ssl_context=context, timeout=TIMEOUT_SECONDS
        )
    else:
        connection = imaplib.IMAP4(url.host, url.port, timeout=TIMEOUT_SECONDS)
    try:
        if url.scheme == "imap" and context:
            connection.starttls(context)
        connection.login(url.user, url.password)
        yield connection
    finally:
        with suppress(*_FAULTS):
            connection.logout()


@contextmanager
def _pop3(url: MailboxUrl) -> Iterator[_Pop3]:
    mailbox = _Pop3(url)
    try:
        yield mailbox
        mailbox.connection.quit()
    finally:
        _hang_up(mailbox.connection)


def _logged_in(url: MailboxUrl) -> poplib.POP3:
    context = url.tls_context()
    if url.scheme == "pop3s":
        connection: poplib.POP3 = poplib.POP3_SSL(
            url.host, url.port, timeout=TIMEOUT_SECONDS, context=context
        )
    else:
        connection = poplib.POP3(url.host, url.port, timeout=TIMEOUT_SECONDS)
    try:
        if url.scheme == "pop3" and context:
            connection.stls(context)
        connection.user(url.user)
        connection.pass_(url.password)
    except BaseException:
        _hang_up(connection)
        raise
    return connection


def _hang_up(connection: poplib.POP3) -> None:
    with suppress(*_FAULTS):
        connection.close()


def _number(uid: str) -> str:
    return uid.rpartition(".")[2]


def _checked(answer: tuple[str, Sequence[object]]) -> Sequence[object]:
    """What the server sent, if it did what was asked."""
    status, data = answer
    if status != "OK":
        raise imaplib.IMAP4.error(f"{status} {data!r}")
    return data


def _said(error: BaseException) -> str:
    """In one line; the library quotes the server as bytes."""
    text = str(error.args[0]) if error.args and not isinstance(error, OSError) else str(error)
    return re.sub(r"^b'(.*)'$", r"\1", " ".join(text.split()))[:300]
