"""An installation that nobody has set up, served; and its pages."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from newsletter.accounts import first_run
from newsletter.core.db import connect
from newsletter.core.runtime import Runtime
from newsletter.core.tokens import TokenKeys
from newsletter.web.app import create_app
from tests import factories
from tests.furnished.house import RELAY
from tests.servers.web import serving_app

_KEYS = TokenKeys.from_secrets("a secret of the tests, long enough to be one", [])


@dataclass(frozen=True, slots=True)
class EmptyHouse:
    """Where it is served, and the paths of its pages by their names."""

    base: str
    paths: Mapping[str, str]


@contextmanager
def empty(url: str) -> Iterator[EmptyHouse]:
    """On a database with this version's tables, empty; served while the block runs."""
    sessions = connect(url)
    runtime = Runtime(factories.settings(relays=(RELAY,)), sessions, _KEYS, None)
    paths = {"set-up-code": "/set-up", "set-up": first_run.set_up_path(_KEYS)}
    with serving_app(create_app(runtime)) as base:
        yield EmptyHouse(base, paths)
    sessions.engine.dispose()
