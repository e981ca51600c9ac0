"""Signed mail on its way: what the receiving server got is verified there, by strangers' code."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from newsletter.core.db import Sessions
from newsletter.core.errors import ConfigurationError
from newsletter.core.sections import DkimSettings, RelaySettings
from newsletter.core.tokens import TokenKeys
from newsletter.sending.confirmation import ask_to_confirm
from newsletter.sending.smtp_transport import SmtpTransport
from newsletter.sending.system_mail import deliver_outbox
from tests import factories
from tests.dkim_keys import BOTH, judged_by_opendkim, records, setting, verified
from tests.smtp_server import SmtpServer

PEOPLE = ["ada@example.org", "bob@example.org", "jürgen@example.org"]
KEYS = tuple(setting(signer) for signer in BOTH)


def to(server: SmtpServer) -> SmtpTransport:
    url = SecretStr(f"smtp://127.0.0.1:{server.port}?tls=none")
    return SmtpTransport(RelaySettings(name="main", url=url))


def test_a_broadcast_verifies_at_the_receiver(
    sessions: Sessions, keys: TokenKeys, tmp_path: Path
) -> None:
    runtime = factories.runtime(sessions, keys, dkim=KEYS)
    broadcast_id = factories.sending(sessions, PEOPLE)
    with SmtpServer() as server:
        factories.deliver(runtime, to(server), broadcast_id)
    assert sorted(recipient for recipient, _ in server.accepted) == PEOPLE
    for _, wire in server.accepted:
        assert verified(wire) == [True, True]
    # opendkim knows Ed25519 since 2.11; an older one would call that signature neutral.
    judged = judged_by_opendkim(server.accepted[0][1], records(), tmp_path)
    assert judged == ["pass rsa-sha256", "pass ed25519-sha256"]
    changed = server.accepted[0][1].replace(b"ledger", b"lodger", 1)
    judged = judged_by_opendkim(changed, records(), tmp_path)
    assert judged == ["fail rsa-sha256", "fail ed25519-sha256"]


def test_a_confirmation_verifies_too(sessions: Sessions, keys: TokenKeys) -> None:
    runtime = factories.runtime(sessions, keys, dkim=KEYS)
    with sessions.writing() as session:
        readers = factories.a_list(session, issue=factories.stored_issue(session))
        person = factories.person(session, PEOPLE[0])
        assert ask_to_confirm(session, runtime, person, readers, factories.EVIDENCE)
    with SmtpServer() as server:
        deliver_outbox(runtime, to(server))
    ((_, wire),) = server.accepted
    assert verified(wire) == [True, True]


def test_without_a_key_for_the_domain_nothing_is_signed(
    sessions: Sessions, keys: TokenKeys
) -> None:
    other = KEYS[0].model_copy(update={"domain": "example.net"})
    broadcast_id = factories.sending(sessions, PEOPLE[:1])
    relay = factories.memory()
    factories.deliver(factories.runtime(sessions, keys, dkim=(other,)), relay, broadcast_id)
    ((_, wire),) = relay.accepted
    assert b"DKIM-Signature" not in wire


def test_a_key_that_cannot_be_read_stops_before_anybody_is_claimed(
    sessions: Sessions, keys: TokenKeys, tmp_path: Path
) -> None:
    gone = DkimSettings(domain="example.org", selector="s", key_file=tmp_path / "gone.pem")
    runtime = factories.runtime(sessions, keys, dkim=(gone,))
    broadcast_id = factories.sending(sessions, PEOPLE[:1])
    relay = factories.memory()
    with pytest.raises(ConfigurationError, match=r"gone\.pem"):
        factories.deliver(runtime, relay, broadcast_id)
    assert relay.accepted == []
    (row,) = factories.deliveries(sessions, broadcast_id).values()
    assert (row.lease_token, row.attempt) == (None, 0)
