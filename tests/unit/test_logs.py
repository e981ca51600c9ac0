"""Logs: one formatter for us and the libraries, and a known secret never gets through."""

import json
import logging
from collections.abc import Iterator

import pytest

from newsletter.core import logs

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


def test_a_level_keeps_the_rest_out(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="warning", json_lines=False)
    logs.get("ours").info("not.said")
    logging.getLogger("alembic").info("not said either")
    logs.get("ours").warning("said")
    written = capsys.readouterr().err
    assert "said" in written
    assert "not" not in written
