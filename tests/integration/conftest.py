"""Fixtures of the tests of asyncio code."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
import uvloop

from tests.smtp_talk import Run


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Every test runs on both event loops; what a loop complains of fails it."""

    def on_loop(test: Coroutine[Any, Any, None]) -> None:
        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        complaints: list[dict[str, Any]] = []
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.get_loop().set_exception_handler(lambda _, about: complaints.append(about))
            runner.run(test)
        assert complaints == []

    return on_loop


@pytest.fixture(params=[True, False], ids=["pipelined", "in turn"])
def pipelining(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)
