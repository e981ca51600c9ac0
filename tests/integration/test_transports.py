"""One contract for every transport, and what only the real one has: TLS, login, lost wires."""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvloop
from pydantic import SecretStr

from newsletter.core.errors import ConfigurationError
from newsletter.core.sections import RelaySettings
from newsletter.mail.address import Address
from newsletter.mail.replies import Reply, ReplyClass, classify, parse_reply
from newsletter.mail.smtp import (
    Envelope,
    EnvelopeError,
    Exchange,
    SmtpFault,
    Timeouts,
    dot_stuffed,
)
from newsletter.sending.memory import HangUp, MemoryTransport
from newsletter.sending.smtp_transport import SmtpTransport, transports_for
from newsletter.sending.transport import Transport
from tests.certificates import make_authority
from tests.conftest import need
from tests.servers import packages, processes
from tests.smtp_server import Moment, SmtpServer, Step
from tests.smtp_talk import brief, has_go_ahead

SENDER, ADA, BOB = "editor@example.org", "ada@example.org", "bob@example.org"
WIRE = b"Subject: x\r\n\r\nHello.\r\nThe end.\r\n"
PATIENT = Timeouts(connect=20, command=20, after_dot=20, pipelined=20)

T = TypeVar("T")


def on_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run it as the engine does."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def talk(transport: Transport, *offers: tuple[Envelope, bytes]) -> list[Exchange]:
    """All messages over one connection, chained; a body leaves only where it got its go-ahead."""
    connection = await transport.connect()
    exchanges: list[Exchange] = []
    body: bytes | None = None
    for envelope, wire in offers:
        exchanges.append(await connection.exchange(body, envelope))
        body = wire if has_go_ahead(exchanges[-1]) else None
    if body is not None:
        exchanges.append(await connection.exchange(body, None))
    await connection.close()
    return exchanges


def mailed(transport: Transport, *recipients: str) -> list[Exchange]:
    return on_loop(talk(transport, *((Envelope(SENDER, to), WIRE) for to in recipients)))


def let_in(transport: Transport) -> None:
    async def come_and_go() -> None:
        await (await transport.connect()).close()

    on_loop(come_and_go())


def smtp(url: str) -> SmtpTransport:
    return SmtpTransport(RelaySettings(name="main", url=SecretStr(url)), PATIENT)


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


def said(reply: Reply) -> str:
    return f"{reply.code} {reply.enhanced} {reply.text}"


def test_what_is_sent_arrives_byte_for_byte_over_one_connection(relay: Relay) -> None:
    exchanges = mailed(relay.transport, ADA, BOB)
    assert [brief(exchange) for exchange in exchanges] == [
        (None, False, 354, False),
        (250, False, 354, False),
        (250, False, None, False),
    ]
    assert relay.accepted() == [(ADA, WIRE), (BOB, WIRE)]


@pytest.mark.parametrize(
    "reply", ["550 5.1.1 User unknown", "451 4.7.1 Greylisted", "554 5.7.1 No"]
)
def test_a_verdict_on_the_recipient_comes_back_and_the_connection_goes_on(
    relay: Relay, reply: str
) -> None:
    relay.refuse(BOB, reply)
    first, second, third, last = mailed(relay.transport, ADA, BOB, ADA)
    assert brief(first) == brief(third) == (None, False, 354, False)
    assert (second.verdict and second.verdict.code, second.fault) == (250, None)
    assert second.go_ahead
    assert said(second.go_ahead) == reply
    assert brief(last) == (250, False, None, False)
    assert [to for to, _ in relay.accepted()] == [ADA, ADA]


@pytest.mark.parametrize(
    "reply",
    ["451 4.4.2 trouble", "454 Throttling", "452 4.5.3 Too many", "550 5.7.26 unauthenticated"],
)
def test_a_reply_about_the_relay_comes_back_for_the_caller_to_judge(
    relay: Relay, reply: str
) -> None:
    relay.refuse(ADA, reply)
    (answer,) = mailed(relay.transport, ADA)
    assert answer.go_ahead
    assert classify(answer.go_ahead).concerns_relay
    assert brief(answer) == (None, False, int(reply[:3]), False)
    assert relay.accepted() == []


def test_a_relay_that_closes_is_a_fault_and_no_answer_to_the_envelope(relay: Relay) -> None:
    relay.refuse(BOB, "421 4.3.2 closing")
    first, second = mailed(relay.transport, ADA, BOB)
    assert brief(first) == (None, False, 354, False)
    assert brief(second) == (250, False, None, True), "what was read before is kept"
    assert second.fault
    assert second.fault.reply == parse_reply(421, "4.3.2 closing")
    assert not second.fault.is_configuration
    assert [to for to, _ in relay.accepted()] == [ADA]


def test_lost_before_the_dot_is_not_accepted_and_not_ambiguous(relay: Relay) -> None:
    relay.hang_up(ADA, False)
    *_, last = mailed(relay.transport, ADA)
    assert brief(last) == (None, False, None, True)
    assert relay.accepted() == []


def test_lost_after_the_dot_is_the_one_case_that_nobody_can_know(relay: Relay) -> None:
    relay.hang_up(ADA, True)
    offered, last = mailed(relay.transport, ADA)
    assert brief(offered) == (None, False, 354, False)
    assert brief(last) == (None, True, None, True)
    assert [to for to, _ in relay.accepted()] == [ADA]


def test_what_is_lost_takes_the_next_envelope_with_it(relay: Relay) -> None:
    relay.hang_up(ADA, True)
    _, lost = mailed(relay.transport, ADA, BOB)
    assert brief(lost) == (None, True, None, True)
    assert [to for to, _ in relay.accepted()] == [ADA]


def test_hanging_up_after_the_go_ahead_hands_nothing_in(relay: Relay) -> None:
    async def refuse_to_go_on() -> Exchange:
        connection = await relay.transport.connect()
        assert has_go_ahead(await connection.exchange(None, Envelope(SENDER, ADA)))
        connection.abort()
        after = await connection.exchange(None, Envelope(SENDER, BOB))
        await connection.close()
        return after

    assert brief(on_loop(refuse_to_go_on())) == (None, False, None, True)
    assert relay.accepted() == []


def test_a_closed_connection_is_of_no_more_use_and_closes_twice(relay: Relay) -> None:
    async def use_it_closed() -> Exchange:
        connection = await relay.transport.connect()
        await connection.close()
        await connection.close()
        return await connection.exchange(None, Envelope(SENDER, ADA))

    assert brief(on_loop(use_it_closed())) == (None, False, None, True)
    assert relay.accepted() == []


@pytest.mark.parametrize("address", ["a@b.org\r\nDATA", "a b@c.org", "a@b.org>", "<a@b.org"])
def test_no_address_breaks_out_of_its_command(address: str) -> None:
    for envelope in ((address, ADA), (ADA, address)):
        with pytest.raises(EnvelopeError):
            Envelope(*envelope)


def test_a_big_message_and_one_that_ends_a_segment_arrive_whole(relay: Relay) -> None:
    sizes = [1_000, 65_536, 1_000_000]
    start = b"X: " + b"y" * 70 + b"\r\n\r\n"
    offers = [(Envelope(SENDER, ADA), start + b"z\r\n" * size) for size in sizes]
    on_loop(talk(relay.transport, *offers))
    assert [len(wire) - 77 for _, wire in relay.accepted()] == [3 * size for size in sizes]


# Only the real one.


@pytest.mark.parametrize("reply", ["554 5.7.1 Spam message rejected", "451 4.3.0 later"])
def test_a_refused_body_is_the_verdict_and_the_connection_goes_on(reply: str) -> None:
    with SmtpServer() as server:
        server.script(ADA, Step(Moment.DOT, reply))
        _, second, last = mailed(plain(server.port), ADA, BOB)
    assert second.verdict
    assert said(second.verdict) == reply
    assert has_go_ahead(second)
    assert brief(last) == (250, False, None, False)
    assert [to for to, _ in server.accepted] == [BOB]


def test_lines_that_begin_with_a_dot_arrive_as_they_were() -> None:
    written = b"Subject: x\r\n\r\n.\r\n..two\r\n.end\r\n"
    with SmtpServer() as server:
        on_loop(talk(plain(server.port), (Envelope(SENDER, ADA), dot_stuffed(written))))
    assert server.accepted == [(ADA, written)]


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(SmtpFault, match="cannot be reached"):
            let_in(plain(unused.getsockname()[1]))


def test_starttls_with_a_known_authority_and_login(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    with SmtpServer(context=authority.server_context, login=("ada", "p@ss w%rd")) as server:
        url = f"smtp://ada:p%40ss%20w%25rd@127.0.0.1:{server.port}?ca={authority.file}"
        assert brief(mailed(smtp(url), ADA)[-1]) == (250, False, None, False)
        with pytest.raises(SmtpFault, match="535") as raised:
            let_in(smtp(url.replace("ada:", "eve:")))
        assert raised.value.is_configuration
        assert "p@ss" not in str(raised.value)


def test_tls_from_the_first_byte(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    with SmtpServer(context=authority.server_context, implicit_tls=True) as server:
        url = f"smtps://127.0.0.1:{server.port}?ca={authority.file}"
        assert brief(mailed(smtp(url), ADA)[-1]) == (250, False, None, False)


@pytest.mark.parametrize("implicit", [True, False])
def test_a_certificate_nobody_vouches_for_is_refused(tmp_path: Path, implicit: bool) -> None:
    authority = make_authority(tmp_path)
    with SmtpServer(context=authority.server_context, implicit_tls=implicit) as server:
        scheme = "smtps" if implicit else "smtp"
        with pytest.raises(SmtpFault, match="certificate verify failed") as raised:
            let_in(smtp(f"{scheme}://127.0.0.1:{server.port}"))
        assert raised.value.is_configuration
        assert server.accepted == []


def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    authority = make_authority(tmp_path, host="127.0.0.2")
    with (
        SmtpServer(context=authority.server_context) as server,
        pytest.raises(SmtpFault, match="IP address mismatch"),
    ):
        let_in(smtp(f"smtp://127.0.0.1:{server.port}?ca={authority.file}"))


def test_starttls_is_required_unless_told_otherwise() -> None:
    with SmtpServer() as server:
        with pytest.raises(SmtpFault, match="offers no STARTTLS") as raised:
            let_in(smtp(f"smtp://127.0.0.1:{server.port}"))
        assert raised.value.is_configuration


def test_an_address_beyond_ascii_needs_a_server_that_takes_it() -> None:
    person = Address.parse("jürgen@bücher.org")
    envelope = Envelope(SENDER, person.envelope, smtputf8=True)
    with SmtpServer() as server:
        on_loop(talk(plain(server.port), (envelope, WIRE)))
        assert [to for to, _ in server.accepted] == ["jürgen@xn--bcher-kva.org"]
    with SmtpServer(smtputf8=False) as server:
        offers = ((envelope, WIRE), (Envelope(SENDER, ADA), WIRE))
        refused, *_, last = on_loop(talk(plain(server.port), *offers))
        assert refused.go_ahead
        assert (refused.go_ahead.code, classify(refused.go_ahead)) == (553, ReplyClass.REFUSED)
        assert brief(last) == (250, False, None, False)


@pytest.mark.parametrize("garbage", [b"", b"hello\r\n", b"\xff\xfe\r\n", b"2\r\n"])
def test_what_does_not_speak_smtp_is_a_fault(garbage: bytes) -> None:
    with _answering(garbage) as port, pytest.raises(SmtpFault):
        let_in(plain(port))


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
        verdicts = [exchange.verdict for exchange in mailed(plain(port), ADA, BOB, ADA)[1:]]
    assert [verdict and verdict.code for verdict in verdicts] == [250] * 3


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
        transports_for([])


def test_the_relays_stay_in_their_configured_order() -> None:
    relays = [
        RelaySettings(name=name, url=SecretStr(f"smtp://{name}.example.org"))
        for name in ("second", "first")
    ]
    transports = transports_for(relays)
    assert [transport.name for transport in transports] == ["second", "first"]
    assert all(transport.pipelining for transport in transports)
