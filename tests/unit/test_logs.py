"""Logs: one formatter for us and the libraries, and a known secret never gets through."""

import json
import logging
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from newsletter.core import logs
from newsletter.core.config import Settings
from newsletter.core.sections import DatabaseSettings, RelaySettings, SiteSettings

CANARY = "canary-9f8e7d6c5b4a"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level


def test_a_secret_is_masked_wherever_it_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="info", json_lines=True, secrets=[CANARY])
    logs.get("ours").warning("relay.fault", fault=f"login {CANARY} refused", broadcast_id=7)
    logging.getLogger("celery.worker").error("connected to redis://:%s@host", CANARY)
    try:
        {}[CANARY]
    except KeyError:
        logs.get("ours").exception("sender.failed")
    written = capsys.readouterr().err
    assert CANARY not in written
    assert written.count(logs.MASK) >= 3
    first = json.loads(written.splitlines()[0])
    assert (first["event"], first["broadcast_id"], first["level"]) == ("relay.fault", 7, "warning")


AWKWARD = 'quote"canary\\backslash-ü-0123456789abcdef'
RELAY = RelaySettings(name="m", url=SecretStr("smtp://AKIA-CANARY-0123456789:p%40ss%22-canary@h"))


@pytest.mark.parametrize("json_lines", [True, False])
def test_a_secret_is_masked_however_it_is_written(
    capsys: pytest.CaptureFixture[str], json_lines: bool
) -> None:
    settings = Settings().model_copy(
        update={"relays": (RELAY,), "site": SiteSettings(secret_key=SecretStr(AWKWARD))}
    )
    logs.configure(level="info", json_lines=json_lines, secrets=settings.secrets())
    log = logs.get("ours")
    for password in ('p@ss"-canary', "p%40ss%22-canary"):
        log.warning("relay.fault", fault=f"login with {password} refused")
    log.warning("login refused", user="AKIA-CANARY-0123456789", at=RELAY.url.get_secret_value())
    for shown in (AWKWARD, repr(AWKWARD), json.dumps(AWKWARD), {"key": AWKWARD}):
        log.error("relay.fault", fault=shown)
    try:
        {}[AWKWARD]
    except KeyError:
        log.exception("sender.failed")
    written = capsys.readouterr().err
    assert "canary" not in written.lower()
    assert written.count(logs.MASK) >= 8


def test_a_name_that_is_a_word_is_no_secret() -> None:
    database = DatabaseSettings(url=SecretStr("postgresql://newsletter:pw-0123@db/newsletter"))
    secrets = Settings().model_copy(update={"database": database}).secrets()
    assert "pw-0123" in secrets
    assert "newsletter" not in secrets


def test_a_level_keeps_the_rest_out(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="warning", json_lines=False)
    logs.get("ours").info("not.said")
    logging.getLogger("alembic").info("not said either")
    logs.get("ours").warning("said")
    written = capsys.readouterr().err
    assert "said" in written
    assert "not" not in written
