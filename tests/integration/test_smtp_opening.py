"""The SMTP client before the first envelope: greeting, EHLO, TLS, login."""

import asyncio
import socket
from base64 import b64encode
from pathlib import Path
from ssl import create_default_context

import pytest

from newsletter.core.errors import ConfigurationError
from newsletter.mail.smtp import Envelope, Server, SmtpFault, connect
from tests.certificates import make_authority
from tests.raw_smtp import CLOSING, OK, Act, Dialogue, Peer, Script, raw_smtp
from tests.sample_mail import ADA, BOB, MAILING, ONE, TWO
from tests.smtp_server import SmtpServer
from tests.smtp_talk import HASTY, PATIENT, Run, awaiting_a_body, brief, has_go_ahead, plain, talk


@pytest.mark.parametrize(
    "said", [b"", b"hello\r\n", b"\xff\xfe\r\n", b"2\r\n", b"554 5.7.1 go away\r\n", CLOSING]
)
def test_what_does_not_greet_us_is_a_fault(run: Run, said: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.say(said)

    assert not run(_refused(script)).is_configuration


@pytest.mark.parametrize(
    "script",
    [
        Dialogue({"EHLO": [CLOSING]}),
        Dialogue({"EHLO": [b"451 4.3.0 later\r\n"]}),
        Dialogue({"EHLO": [b"502 5.5.1 what?\r\n"], "HELO": [b"554 5.7.1 no\r\n"]}),
        Dialogue({"EHLO": [Act.HANG_UP]}),
        Dialogue({"EHLO": [Act.SILENCE]}),
        Dialogue({"EHLO": [b"250-raw.test\r\nnonsense\r\n"]}),
    ],
)
def test_an_ehlo_that_comes_to_nothing_is_a_fault(run: Run, script: Dialogue) -> None:
    assert not run(_refused(script)).is_configuration


def test_silence_and_dripping_before_the_greeting_time_out(run: Run) -> None:
    async def silent(peer: Peer) -> None:
        await asyncio.Event().wait()

    async def dripping(peer: Peer) -> None:
        await peer.drip(b"220 " + b"x" * 200, pause=0.05)

    for script in (silent, dripping):
        fault = run(_refused(script))
        assert "timed out" in str(fault)
        assert not fault.is_configuration


async def _refused(script: Script) -> SmtpFault:
    async with raw_smtp(script) as port:
        with pytest.raises(SmtpFault, match=r".") as raised:
            await connect(plain(port), HASTY)
        return raised.value


def test_nobody_listens(run: Run) -> None:
    async def test() -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            with pytest.raises(SmtpFault, match="cannot be reached"):
                await connect(plain(unused.getsockname()[1]), PATIENT)
        with pytest.raises(SmtpFault, match="cannot be reached"):
            await connect(Server("x" * 70 + ".invalid", 25), PATIENT)

    run(test())


def test_a_server_too_old_for_ehlo_is_greeted_the_old_way(run: Run) -> None:
    async def test() -> None:
        dialogue = Dialogue({"EHLO": [b"500 what?\r\n"], "HELO": [b"250 raw.test\r\n"]})
        async with awaiting_a_body(dialogue) as connection:
            assert (dict(connection.extensions), connection.pipelining) == ({}, False)
        assert dialogue.commands[:2] == [b"EHLO client.test", b"HELO client.test"]

    run(test())


def test_a_host_without_a_full_name_gives_its_address(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        for name, given in (("mailer", b"[127.0.0.1]"), ("m.example.org", b"m.example.org")):
            monkeypatch.setattr("newsletter.mail.smtp_opening._host_name", lambda n=name: n)
            dialogue = Dialogue()
            async with raw_smtp(dialogue) as port:
                await (await connect(Server("127.0.0.1", port), PATIENT)).close()
            assert dialogue.commands[0] == b"EHLO " + given

    run(test())


def test_what_a_server_says_of_itself_can_be_read(run: Run) -> None:
    async def test() -> None:
        async with awaiting_a_body(Dialogue()) as connection:
            assert connection.extensions["SIZE"] == "50000000"
            assert (connection.pipelining, connection.max_size) == (True, 50_000_000)
            await connection.exchange(ONE, None)
            assert connection.messages == 1

    run(test())


def test_what_a_server_cannot_take_is_refused_without_asking_it(run: Run, pipelining: bool) -> None:
    too_long = Envelope(ADA.sender, ADA.recipient, size=50_000_001)
    abroad = Envelope(ADA.sender, "jürgen@example.org", smtputf8=True)

    async def test() -> None:
        dialogue = Dialogue()
        exchanges = await talk(
            dialogue, (None, ADA), (ONE, too_long), (None, abroad), pipelining=pipelining
        )
        assert brief(exchanges[1]) == (250, False, 552, False)
        assert brief(exchanges[2]) == (None, False, 553, False)
        assert (exchanges[1].go_ahead.enhanced, exchanges[2].go_ahead.enhanced) == (
            "5.3.4", "5.6.7",
        )  # fmt: skip
        assert len(dialogue.commands) == 5

    run(test())


# TLS and login.


def _tls(server: SmtpServer, authority: Path, **login: str) -> Server:
    return Server(
        "127.0.0.1",
        server.port,
        server._implicit_tls,
        create_default_context(cafile=authority),
        local_name="client.test",
        **login,
    )


@pytest.mark.parametrize("implicit", [True, False])
def test_mail_goes_over_tls(run: Run, tmp_path: Path, implicit: bool) -> None:
    authority = make_authority(tmp_path)

    async def test() -> None:
        with SmtpServer(context=authority.server_context, implicit_tls=implicit) as server:
            connection = await connect(_tls(server, authority.file), PATIENT)
            for body, envelope in MAILING:
                exchange = await connection.exchange(body, envelope)
            assert exchange.verdict.code == 250
            await connection.close()
            assert server.accepted == [(ADA.recipient, ONE), (BOB.recipient, TWO)]

    run(test())


def test_login_over_starttls_and_a_wrong_password(run: Run, tmp_path: Path) -> None:
    authority = make_authority(tmp_path)

    async def test() -> None:
        with SmtpServer(context=authority.server_context, login=("ada", "p@ss w%rd")) as server:
            way = _tls(server, authority.file, user="ada", password="p@ss w%rd")
            connection = await connect(way, PATIENT)
            assert has_go_ahead(await connection.exchange(None, ADA))
            await connection.close()
            wrong = _tls(server, authority.file, user="ada", password="hidden")
            with pytest.raises(SmtpFault, match="535") as raised:
                await connect(wrong, PATIENT)
            assert raised.value.is_configuration
            assert "hidden" not in f"{raised.value!r} {raised.value} {wrong!r}"

    run(test())


def test_pipelining_works_over_tls_and_a_loss_there_is_ambiguous(run: Run, tmp_path: Path) -> None:
    authority = make_authority(tmp_path)

    async def test() -> None:
        dialogue = Dialogue({"DOT": [OK, Act.HANG_UP]})
        async with raw_smtp(dialogue, context=authority.server_context) as port:
            context = create_default_context(cafile=authority.file)
            way = Server("127.0.0.1", port, True, context, local_name="c.test")
            connection = await connect(way, PATIENT)
            assert connection.pipelining
            results = [brief(await connection.exchange(*offer)) for offer in MAILING]
            assert results[1:] == [(250, False, 354, False), (None, True, None, True)]
            await connection.close()

    run(test())


@pytest.mark.parametrize("implicit", [True, False])
def test_a_certificate_nobody_vouches_for_is_refused(
    run: Run, tmp_path: Path, implicit: bool
) -> None:
    authority = make_authority(tmp_path)

    async def test() -> None:
        with SmtpServer(context=authority.server_context, implicit_tls=implicit) as server:
            way = Server("127.0.0.1", server.port, implicit, create_default_context())
            with pytest.raises(SmtpFault, match="certificate verify failed") as raised:
                await connect(way, PATIENT)
            assert raised.value.is_configuration

    run(test())


@pytest.mark.parametrize("implicit", [True, False])
def test_a_certificate_for_another_name_is_refused(
    run: Run, tmp_path: Path, implicit: bool
) -> None:
    authority = make_authority(tmp_path, host="127.0.0.2")

    async def test() -> None:
        with SmtpServer(context=authority.server_context, implicit_tls=implicit) as server:
            with pytest.raises(SmtpFault, match="IP address mismatch") as raised:
                await connect(_tls(server, authority.file), PATIENT)
            assert raised.value.is_configuration

    run(test())


def test_starttls_is_required_where_a_context_is_given(run: Run) -> None:
    async def test() -> None:
        dialogue = Dialogue()
        async with raw_smtp(dialogue) as port:
            way = Server("127.0.0.1", port, False, create_default_context(), "ada", "hidden")
            with pytest.raises(SmtpFault, match="offers no STARTTLS") as raised:
                await connect(way, PATIENT)
            assert raised.value.is_configuration
        assert [command[:4] for command in dialogue.commands] == [b"EHLO"]

    run(test())


@pytest.mark.parametrize("pause", [None, 0.0, 0.05])
def test_what_is_said_in_the_clear_before_tls_is_an_injection(
    run: Run, tmp_path: Path, pause: float | None
) -> None:
    authority = make_authority(tmp_path)
    injected = b"250-raw.test\r\n250 AUTH PLAIN\r\n"

    async def script(peer: Peer) -> None:
        await peer.greet(b"250-raw.test\r\n250 STARTTLS\r\n")
        await peer.line()
        await peer.say(b"220 go\r\n" + (injected if pause is None else b""))
        if pause is not None:
            await asyncio.sleep(pause)
            await peer.say(injected)
        assert b"AUTH" not in await peer._reader.read(100_000)

    async def test() -> None:
        async with raw_smtp(script) as port:
            context = create_default_context(cafile=authority.file)
            way = Server("127.0.0.1", port, False, context, "ada", "hidden", "c.test")
            with pytest.raises(SmtpFault):
                await connect(way, PATIENT)

    run(test())


def test_a_refused_starttls_and_a_stalled_handshake_are_faults(run: Run) -> None:
    offer = b"250-raw.test\r\n250 STARTTLS\r\n"

    async def test() -> None:
        for answer in (b"454 4.7.0 TLS not available\r\n", b"220 go\r\n"):
            async with raw_smtp(_answering(offer, answer)) as port:
                way = Server("127.0.0.1", port, False, create_default_context())
                with pytest.raises(SmtpFault) as raised:
                    await connect(way, HASTY)
                assert not raised.value.is_configuration

    run(test())


def _answering(offer: bytes, answer: bytes) -> Script:
    async def script(peer: Peer) -> None:
        await peer.greet(offer)
        await peer.line()
        await peer.say(answer)
        await asyncio.Event().wait()

    return script


def test_login_by_the_older_mechanism_where_only_that_is_offered(run: Run) -> None:
    said: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.greet(b"250-raw.test\r\n250 AUTH=LOGIN CRAM-MD5\r\n")
        for answer in (b"334 VXNlcm5hbWU6\r\n", b"334 UGFzc3dvcmQ6\r\n", b"235 2.7.0 Ok\r\n"):
            said.append(await peer.line())
            await peer.say(answer)
        await peer.line()

    async def test() -> None:
        async with raw_smtp(script) as port:
            way = plain(port, user="ada", password="p w")
            await (await connect(way, PATIENT)).close()
        assert said == [b"AUTH LOGIN", b64encode(b"ada"), b64encode(b"p w")]

    run(test())


def test_a_long_password_is_given_when_it_is_asked_for(run: Run) -> None:
    said: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.greet(b"250-raw.test\r\n250 AUTH PLAIN\r\n")
        for answer in (b"334 \r\n", b"235 2.7.0 Ok\r\n"):
            said.append(await peer.line())
            await peer.say(answer)
        await peer.line()

    async def test() -> None:
        async with raw_smtp(script) as port:
            way = plain(port, user="ada", password="p" * 600)
            await (await connect(way, PATIENT)).close()
        assert said == [b"AUTH PLAIN", b64encode(b"\0ada\0" + b"p" * 600)]

    run(test())


@pytest.mark.parametrize(
    ("offer", "refusal", "configuration"),
    [
        (b"AUTH PLAIN", b"535 5.7.8 no\r\n", True),
        (b"AUTH LOGIN", b"535 5.7.8 no\r\n", True),
        (b"AUTH PLAIN", b"530 5.7.0 no\r\n", True),
        (b"AUTH PLAIN", b"454 4.7.0 later\r\n", False),
        (b"AUTH PLAIN", CLOSING, False),
        (b"AUTH GSSAPI", b"", True),
        (b"HELP", b"", True),
    ],
)
def test_a_refused_login_says_so_and_no_password(
    run: Run, offer: bytes, refusal: bytes, configuration: bool
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet(b"250-raw.test\r\n250 " + offer + b"\r\n")
        command = await peer.line()
        if refusal[:3] == b"535":
            await peer.say(refusal[:-2] + b" " + command.rpartition(b" ")[2] + b" hidden\r\n")
        else:
            await peer.say(refusal)

    async def test() -> None:
        async with raw_smtp(script) as port:
            way = plain(port, user="ada", password="hidden")
            with pytest.raises(SmtpFault) as raised:
                await connect(way, PATIENT)
            assert raised.value.is_configuration is configuration
            shown = f"{raised.value} {raised.value!r} {raised.value.reply!r} {way!r}"
            assert "hidden" not in shown
            assert b64encode(b"\0ada\0hidden").decode() not in shown

    run(test())


@pytest.mark.parametrize("password", ["pässword", "a\0b", "a\r\nb"])
def test_credentials_are_printable_ascii(run: Run, password: str) -> None:
    async def test() -> None:
        async with raw_smtp(Dialogue(extensions=b"250-raw.test\r\n250 AUTH PLAIN\r\n")) as port:
            way = plain(port, user="ada", password=password)
            with pytest.raises(SmtpFault, match="ASCII") as raised:
                await connect(way, PATIENT)
            assert raised.value.is_configuration

    run(test())


def test_a_server_that_makes_no_sense_is_refused_before_any_connection() -> None:
    with pytest.raises(ConfigurationError):
        Server("relay.example.org", 465, implicit_tls=True)
    with pytest.raises(ConfigurationError):
        Server("relay.example.org", 25, local_name="a b\r\nMAIL")
