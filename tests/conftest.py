"""What every test can ask for: databases, keys, real servers, shared sample data."""

import gc
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import structlog
from hypothesis import settings
from sqlalchemy import make_url

from newsletter.core.db import Sessions, connect
from newsletter.core.tokens import TokenKeys
from newsletter.migrations import schema
from tests.servers import packages, processes
from tests.servers.dovecot import Dovecot, dovecot
from tests.servers.kept_database import KeptDatabase
from tests.servers.packages import Program

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.furnished.house import House

SHARED = Path(__file__).parents[2] / "shared"
_MEMORY = "/dev/shm"
_numbers = count(1)
_PLAIN_LOGS: list[structlog.typing.Processor] = [
    structlog.processors.add_log_level,
    # As the program has it: the default draws every local variable, seconds for one traceback.
    structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
]


def pytest_configure(config: pytest.Config) -> None:
    """In every process of the test run; packages once, before its workers start."""
    _use_memory_for_files()
    _keep_compiled_modules()
    # How long an example takes is the machine's affair, and that of whatever runs beside it.
    settings.register_profile("unhurried", deadline=None)
    settings.load_profile("unhurried")
    if not hasattr(config, "workerinput"):
        packages.install_missing()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long is begun first: for one that is begun last every other core waits."""
    longest = ("long", "faults")
    items.sort(key=lambda item: not any(item.get_closest_marker(name) for name in longest))


def pytest_collection_finish() -> None:
    """What is there by now stays to the end: the collector need not go through it again."""
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Nor at the end, several times, through all that thousands of tests have left."""
    gc.collect()
    gc.freeze()


def _use_memory_for_files() -> None:
    """Databases wait for their disk at each commit: what a test writes is gone with it anyway."""
    if "TMPDIR" not in os.environ and os.access(_MEMORY, os.W_OK | os.X_OK):
        os.environ["TMPDIR"] = tempfile.tempdir = _MEMORY


def _keep_compiled_modules() -> None:
    """Whatever the environment says: dozens of processes would compile the same ones again."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def need(*programs: Program) -> None:
    """Skip, loudly, what cannot run here; where everything must run, fail."""
    missing = sorted({program.package for program in programs if program.path() is None})
    if not missing:
        return
    sentence = f"install the Debian package: {', '.join(missing)}"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Whoever configures logs writes them to this test's captured output, which ends with it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    structlog.configure(processors=_PLAIN_LOGS)
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    need(packages.INITDB, packages.POSTGRES)
    with processes.postgresql() as url:
        yield url


@pytest.fixture
def postgresql_database(postgresql_server: str) -> Iterator[str]:
    """The URL of an empty database of this test's own."""
    with _database(postgresql_server, "template1") as url:
        yield url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    need(packages.REDIS)
    with processes.redis() as url:
        yield url


@pytest.fixture
def mail_server() -> Iterator[Dovecot]:
    """Dovecot with an empty mailbox, this test's own."""
    need(packages.DOVECOT, packages.DOVECOT_IMAP, packages.DOVECOT_POP3)
    with dovecot() as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("template") / "newsletter.db"
    sessions = connect(f"sqlite:///{file}")
    schema.upgrade(sessions)
    sessions.engine.dispose()
    return file


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: str) -> Iterator[str]:
    with _database(postgresql_server, "template1") as url:
        sessions = connect(url)
        schema.upgrade(sessions)
        sessions.engine.dispose()
        yield str(make_url(url).database)


@pytest.fixture
def postgresql_with_tables(postgresql_server: str, postgresql_template: str) -> Iterator[str]:
    """The URL of a database of this test's own, upgraded to this version."""
    with _database(postgresql_server, postgresql_template) as url:
        yield url


@pytest.fixture(scope="session")
def kept_database(postgresql_server: str, postgresql_template: str) -> Iterator[KeptDatabase]:
    kept = KeptDatabase(make_url(postgresql_server), postgresql_template, f"test_{os.getpid()}")
    yield kept
    kept.drop()


@pytest.fixture(params=["sqlite", "postgresql"])
def sessions(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sessions]:
    """A database with this version's tables; every test that asks for it runs on both."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "newsletter.db")
        yield from _connected(f"sqlite:///{tmp_path / 'newsletter.db'}")
        return
    kept: KeptDatabase = request.getfixturevalue("kept_database")
    with kept.lent() as url:
        yield from _connected(url)


@pytest.fixture
def sqlite_sessions(sqlite_template: Path, tmp_path: Path) -> Iterator[Sessions]:
    """For tests whose subject no database changes: this version's tables on SQLite alone."""
    shutil.copy(sqlite_template, tmp_path / "newsletter.db")
    yield from _connected(f"sqlite:///{tmp_path / 'newsletter.db'}")


@pytest.fixture(scope="module")
def house(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator["House"]:
    """An installation with something in every room, served, this module's own."""
    from tests.furnished.house import furnished

    file = tmp_path_factory.mktemp("house") / "newsletter.db"
    shutil.copy(sqlite_template, file)
    with furnished(f"sqlite:///{file}") as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A driven one: in a module that has it no test can run an event loop of its own."""
    from tests.servers.driven_browser import chromium

    need(packages.CHROMIUM)
    with chromium() as started:
        yield started


@pytest.fixture
def keys() -> TokenKeys:
    return TokenKeys.from_secrets("a secret of the tests, long enough to be one", [])


@pytest.fixture(scope="session")
def shared() -> Path:
    """Sample input kept beside the checkout; tests that need it are skipped elsewhere."""
    if not SHARED.is_dir():
        pytest.skip("the sample input beside the checkout is not there")
    return SHARED


def _connected(url: str) -> Iterator[Sessions]:
    opened = connect(url)
    yield opened
    opened.engine.dispose()


@contextmanager
def _database(server: str, template: str) -> Iterator[str]:
    url = make_url(server)
    name = f"test_{os.getpid()}_{next(_numbers)}"
    admin = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
        try:
            yield url.set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
