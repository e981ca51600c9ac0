"""`newsletter relays`: what an operator sees of the providers, and who is let in."""

import json
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
import redis

from newsletter.sending.ratelimit_redis import KEY_PREFIX
from tests.acceptance.conftest import FullMode
from tests.acceptance.installation import Installation
from tests.certificates import make_authority
from tests.smtp_server import REFUSED, SmtpServer

SECRET = "canary-4f3e2d"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmtpServer]:
    context = make_authority(tmp_path).server_context
    with SmtpServer(context=context, login=("ada", SECRET)) as running:
        yield running


@pytest.fixture
def installation(tmp_path: Path, server: SmtpServer) -> Installation:
    place = f"127.0.0.1:{server.port}?ca={tmp_path}/authority.pem"
    return configured(
        Installation(tmp_path),
        {"name": "main", "url": f"smtp://ada:{SECRET}@{place}", "rate": 14, "connections": 3},
        {"name": "stranger", "url": f"smtp://eve:wrong@{place}"},
        {"name": "nobody", "url": f"smtp://eve:{SECRET}@127.0.0.1:1"},
    )


def configured(installation: Installation, *relays: dict[str, Any]) -> Installation:
    installation.env["NEWSLETTER_RELAYS"] = json.dumps(relays)
    return installation


def test_list_shows_limits_and_state_and_no_credentials(installation: Installation) -> None:
    said = installation.run("relays", "list")
    assert "14/s" in said
    assert "in use" in said
    assert SECRET not in said
    main, *others = installation.json("relays", "list")
    assert main == {
        "name": "main",
        "server": main["server"],
        "connections": 3,
        "connections_now": 3,
        "messages_per_connection": None,
        "messages_per_connection_now": None,
        "pipelining": True,
        "rate": 14.0,
        "burst": 14,
        "throttled_to": None,
        "state": "closed",
        "until": None,
        "reason": "",
    }
    assert main["server"].startswith("127.0.0.1:")
    assert [other["name"] for other in others] == ["stranger", "nobody"]


def test_pause_and_resume(installation: Installation) -> None:
    here = installation
    assert "would be paused" in here.run("relays", "pause", "main", "--dry-run")
    assert here.json("relays", "list")[0]["state"] == "closed"
    assert "is paused" in here.run("relays", "pause", "main", "--reason", "moving house")
    assert "paused already" in here.run("relays", "pause", "main", expect=1)
    assert "main is paused: moving house" in here.run("relays", "list")
    assert "would be in use" in here.run("relays", "resume", "main", "--dry-run")
    assert here.json("relays", "list")[0]["state"] == "paused"
    here.run("relays", "resume", "main")
    assert here.json("relays", "list")[0]["state"] == "closed"
    assert "there is no relay 'x'" in here.run("relays", "pause", "x", expect=1)
    assert "there is no relay 'x'" in here.run("relays", "resume", "x", expect=1)


def test_test_shows_what_the_server_offers(installation: Installation, server: SmtpServer) -> None:
    said = installation.run("relays", "test", "main")
    assert "lets us in" in said
    assert "TLSv1" in said
    assert "SMTPUTF8" in said
    assert SECRET not in said
    assert server.accepted == []


def test_test_hands_over_one_mail(installation: Installation, server: SmtpServer) -> None:
    to = ("--to", "bob@example.org")
    said = installation.run("relays", "test", "main", *to, expect=2)
    assert "sender.address is not set" in said
    installation.env["NEWSLETTER_SENDER__ADDRESS"] = "editor@example.org"
    assert "250" in installation.run("relays", "test", "main", *to)
    ((recipient, wire),) = server.accepted
    mail = message_from_bytes(wire)
    assert (recipient, mail["From"], mail["Subject"]) == (
        "bob@example.org",
        "editor@example.org",
        "Test of relay main",
    )
    server.script("bob@example.org", REFUSED)
    said = installation.run("relays", "test", "main", *to, expect=1)
    assert "did not accept the test mail: 550 5.7.1" in said


def test_test_fails_when_the_relay_does_not_let_us_in(installation: Installation) -> None:
    said = installation.run("relays", "test", "stranger", expect=1)
    assert "relay stranger: does not let us in: 535" in said
    said = installation.run("relays", "test", "nobody", expect=1)
    assert "relay nobody: cannot be reached" in said
    assert SECRET not in said
    assert "there is no relay 'x'" in installation.run("relays", "test", "x", expect=1)


def test_with_a_broker_list_shows_a_rate_that_was_slowed_down(
    tmp_path: Path, full_mode: FullMode
) -> None:
    here = Installation(tmp_path, full_mode.environment())
    configured(here, {"name": "main", "url": "smtp://relay.example.org", "rate": 14})
    with redis.Redis.from_url(full_mode.broker) as server:
        now = server.time()[0]
        slowed = {"tokens": 0, "at": now, "capacity": 7, "slow": 7, "slow_at": now, "full": 14}
        server.hset(f"{KEY_PREFIX}relay/main", mapping=slowed)
        assert 7 <= here.json("relays", "list")[0]["throttled_to"] < 14
        assert "14/s, now" in here.run("relays", "list")
        server.delete(f"{KEY_PREFIX}relay/main")
    assert here.json("relays", "list")[0]["throttled_to"] is None
