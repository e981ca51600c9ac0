"""One contract for every transport, and what only the real one has: TLS, login, lost wires."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from newsletter.core.config import RelaySettings
from newsletter.core.errors import ConfigurationError
from newsletter.mail.address import Address
from newsletter.mail.replies import ReplyClass, classify, parse_reply
from newsletter.mail.smtp import Envelope, EnvelopeError
from newsletter.sending.memory import HangUp, MemoryTransport
from newsletter.sending.smtp_transport import SmtpTransport, Timeouts, transport_for
from newsletter.sending.transport import (
    NoReplyError,
    RelayFaultError,
    Transport,
)
from tests.certificates import make_authority
from tests.conftest import need
from tests.servers import packages, processes
from tests.smtp_server import Moment, SmtpServer, Step

SENDER, ADA, BOB = "editor@example.org", "ada@example.org", "bob@example.org"
WIRE = b"Subject: x\r\n\r\nHello.\r\nThe end.\r\n"
QUICK = Timeouts(connect=5, command=5, after_dot=5)


def smtp(url: str) -> SmtpTransport:
    return SmtpTransport(RelaySettings(name="main", url=SecretStr(url)), QUICK)


def plain(port: int) -> SmtpTransport:
    return smtp(f"smtp://127.0.0.1:{port}?tls=none")


@dataclass
class Relay:
    """What the contract needs of a relay, whichever it is."""

    transport: Transport
    refuse: Callable[[str, str], None]
    hang_up: Callable[[str, bool], None]
    accepted: Callable[[], list[tuple[str, bytes]]]


@pytest.fixture(params=["memory", "smtp"])
def relay(request: pytest.FixtureRequest) -> Iterator[Relay]:
    if request.param == "memory":
        yield _in_memory()
    else:
        with SmtpServer() as server:
            yield _by_smtp(server)


def _in_memory() -> Relay:
    memory = MemoryTransport()

    def refuse(to: str, reply: str) -> None:
        memory.script(to, parse_reply(int(reply[:3]), reply[4:]))

    def hang_up(to: str, after_dot: bool) -> None:
        memory.script(to, HangUp(after_dot))

    return Relay(memory, refuse, hang_up, lambda: memory.accepted)


def _by_smtp(server: SmtpServer) -> Relay:
    def refuse(to: str, reply: str) -> None:
        server.script(to, Step(Moment.RCPT, reply))

    def hang_up(to: str, after_dot: bool) -> None:
        server.script(to, Step(Moment.DOT if after_dot else Moment.DATA))

    return Relay(plain(server.port), refuse, hang_up, lambda: server.accepted)


def test_what_is_sent_arrives_byte_for_byte_over_one_connection(relay: Relay) -> None:
    connection = relay.transport.connect()
    for to in (ADA, BOB):
        reply = connection.send(Envelope(SENDER, to), WIRE)
        assert classify(reply) is ReplyClass.ACCEPTED
    connection.close()
    assert relay.accepted() == [(ADA, WIRE), (BOB, WIRE)]


@pytest.mark.parametrize(
    "reply", ["550 5.1.1 User unknown", "451 4.7.1 Greylisted", "554 5.7.1 No"]
)
def test_a_verdict_on_the_recipient_comes_back_and_the_connection_goes_on(
    relay: Relay, reply: str
) -> None:
    relay.refuse(ADA, reply)
    connection = relay.transport.connect()
    answer = connection.send(Envelope(SENDER, ADA), WIRE)
    assert f"{answer.code} {answer.enhanced} {answer.text}" == reply
    assert connection.send(Envelope(SENDER, BOB), WIRE).code == 250
    connection.close()
    assert [to for to, _ in relay.accepted()] == [BOB]


@pytest.mark.parametrize("reply", ["421 4.3.2 closing", "451 4.4.2 trouble", "454 Throttling"])
def test_a_reply_about_the_relay_is_its_fault(relay: Relay, reply: str) -> None:
    relay.refuse(ADA, reply)
    connection = relay.transport.connect()
    with pytest.raises(RelayFaultError) as raised:
        connection.send(Envelope(SENDER, ADA), WIRE)
    assert raised.value.reply is not None
    assert not raised.value.is_configuration
    connection.close()
    assert relay.accepted() == []


def test_a_refused_sender_is_our_configuration(relay: Relay) -> None:
    relay.refuse(ADA, "550 5.7.26 unauthenticated sender")
    with pytest.raises(RelayFaultError) as raised:
        relay.transport.connect().send(Envelope(SENDER, ADA), WIRE)
    assert raised.value.is_configuration


def test_lost_before_the_dot_is_not_accepted(relay: Relay) -> None:
    relay.hang_up(ADA, False)
    connection = relay.transport.connect()
    with pytest.raises(RelayFaultError):
        connection.send(Envelope(SENDER, ADA), WIRE)
    connection.close()
    assert relay.accepted() == []


def test_lost_after_the_dot_is_the_one_case_that_nobody_can_know(relay: Relay) -> None:
    relay.hang_up(ADA, True)
    connection = relay.transport.connect()
    with pytest.raises(NoReplyError):
        connection.send(Envelope(SENDER, ADA), WIRE)
    connection.close()
    assert [to for to, _ in relay.accepted()] == [ADA]


def test_a_closed_connection_is_of_no_more_use_and_closes_twice(relay: Relay) -> None:
    connection = relay.transport.connect()
    connection.close()
    connection.close()
    with pytest.raises(RelayFaultError):
        connection.send(Envelope(SENDER, ADA), WIRE)


@pytest.mark.parametrize("address", ["a@b.org\r\nDATA", "a b@c.org", "a@b.org>", "<a@b.org"])
def test_no_address_breaks_out_of_its_command(address: str) -> None:
    for envelope in ((address, ADA), (ADA, address)):
        with pytest.raises(EnvelopeError):
            Envelope(*envelope)


def test_a_big_message_and_one_that_ends_a_segment_arrive_whole(relay: Relay) -> None:
    connection = relay.transport.connect()
    sizes = [1_000, 65_536, 1_000_000]
    for size in sizes:
        connection.send(Envelope(SENDER, ADA), b"X: " + b"y" * 70 + b"\r\n\r\n" + b"z\r\n" * size)
    connection.close()
    assert [len(wire) - 77 for _, wire in relay.accepted()] == [3 * size for size in sizes]


# Only the real one.


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(RelayFaultError, match="cannot be reached"):
            plain(unused.getsockname()[1]).connect()


def test_starttls_with_a_known_authority_and_login(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    with SmtpServer(context=authority.server_context, login=("ada", "p@ss w%rd")) as server:
        url = f"smtp://ada:p%40ss%20w%25rd@127.0.0.1:{server.port}?ca={authority.file}"
        connection = smtp(url).connect()
        assert connection.send(Envelope(SENDER, ADA), WIRE).code == 250
        connection.close()
        with pytest.raises(RelayFaultError, match="535") as raised:
            smtp(url.replace("ada:", "eve:")).connect()
        assert raised.value.is_configuration
        assert "p@ss" not in str(raised.value)


def test_tls_from_the_first_byte(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    with SmtpServer(context=authority.server_context, implicit_tls=True) as server:
        url = f"smtps://127.0.0.1:{server.port}?ca={authority.file}"
        connection = smtp(url).connect()
        assert connection.send(Envelope(SENDER, ADA), WIRE).code == 250
        connection.close()


@pytest.mark.parametrize("implicit", [True, False])
def test_a_certificate_nobody_vouches_for_is_refused(tmp_path: Path, implicit: bool) -> None:
    authority = make_authority(tmp_path)
    with SmtpServer(context=authority.server_context, implicit_tls=implicit) as server:
        scheme = "smtps" if implicit else "smtp"
        with pytest.raises(RelayFaultError, match="certificate verify failed") as raised:
            smtp(f"{scheme}://127.0.0.1:{server.port}").connect()
        assert raised.value.is_configuration
        assert server.accepted == []


def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    authority = make_authority(tmp_path, host="127.0.0.2")
    with (
        SmtpServer(context=authority.server_context) as server,
        pytest.raises(RelayFaultError, match="IP address mismatch"),
    ):
        smtp(f"smtp://127.0.0.1:{server.port}?ca={authority.file}").connect()


def test_starttls_is_required_unless_told_otherwise() -> None:
    with SmtpServer() as server:
        with pytest.raises(RelayFaultError, match="offers no STARTTLS") as raised:
            smtp(f"smtp://127.0.0.1:{server.port}").connect()
        assert raised.value.is_configuration


def test_an_address_beyond_ascii_needs_a_server_that_takes_it() -> None:
    person = Address.parse("jürgen@bücher.org")
    envelope = Envelope(SENDER, person.envelope, smtputf8=True)
    with SmtpServer() as server:
        connection = plain(server.port).connect()
        assert connection.send(envelope, WIRE).code == 250
        connection.close()
        assert server.accepted[0][0] == "jürgen@xn--bcher-kva.org"
    with SmtpServer(smtputf8=False) as server:
        connection = plain(server.port).connect()
        reply = connection.send(envelope, WIRE)
        assert (reply.code, classify(reply)) == (553, ReplyClass.REFUSED)
        assert connection.send(Envelope(SENDER, ADA), WIRE).code == 250
        connection.close()


@pytest.mark.parametrize("garbage", [b"", b"hello\r\n", b"\xff\xfe\r\n", b"2\r\n"])
def test_what_does_not_speak_smtp_is_a_fault(garbage: bytes) -> None:
    with _answering(garbage) as port, pytest.raises(RelayFaultError):
        plain(port).connect()


@contextmanager
def _answering(greeting: bytes) -> Iterator[int]:
    """A server that says one thing and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            client, _ = listening.accept()
            with client:
                client.sendall(greeting)

        thread = threading.Thread(target=answer)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


def test_postfix_takes_it() -> None:
    need(packages.SMTP_SINK)
    with processes.smtp_sink() as port:
        connection = plain(port).connect()
        for _ in range(3):
            assert connection.send(Envelope(SENDER, ADA), WIRE).code == 250
        connection.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://relay.example.org",
        "relay.example.org:25",
        "smtp://",
        "smtp://user:pa/ss@relay.example.org",
        "smtp://relay.example.org:99999",
        "smtps://relay.example.org?tls=none",
        "smtp://relay.example.org?tls=maybe",
        "smtp://relay.example.org?verify=no",
        "smtp://usér:x@relay.example.org",
    ],
)
def test_a_wrong_url_is_named_by_its_setting_and_never_shown(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"relays\.main\.url") as raised:
        smtp(url)
    assert str(raised.value).count(url.rpartition("://")[2] or "never") == 0


def test_a_missing_authority_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.pem"):
        smtp(f"smtp://relay.example.org?ca={tmp_path / 'nowhere.pem'}")


def test_without_a_relay_the_lines_to_write_are_named() -> None:
    with pytest.raises(ConfigurationError, match=r"\[\[relays\]\]"):
        transport_for([])
