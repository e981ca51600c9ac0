"""What a fault has in its hands: an installation that sends, its servers, its processes."""

import json
import random
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from newsletter.broadcasts import accounting
from newsletter.broadcasts.models import Broadcast, BroadcastState, Delivery
from newsletter.core.db import Sessions, connect
from tests.acceptance.installation import CELERY, NEWSLETTER, Installation, Process
from tests.faults.cases import Mode
from tests.faults.checks import LedgerRow, Observed, read_events
from tests.faults.plans import Plan, Rule
from tests.faults.servers import Postgres, Redis, Referee, running
from tests.faults.templates import ISSUE_DATE, Templates
from tests.waiting import wait_until

CONNECTIONS = 8
LEASE_SECONDS = 5
_ENDED = frozenset({BroadcastState.DONE, BroadcastState.CANCELLED})
_SETTLED_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Form:
    """How long a form of the suite takes over one run.

    Attributes:
        recipients: on the list, unless the fault says fewer.
        sending_seconds: how long an undisturbed sending takes.
        outage_seconds: how long a server stays away, or a relay says nothing.
        patience_seconds: after that, the run counts as one that does not end by itself.
        times: how often a fault that comes again and again comes.
        saves_processes: embedded, `newsletter send` also is the worker; a start costs a second.
    """

    name: str
    recipients: int
    sending_seconds: float
    outage_seconds: float
    patience_seconds: float
    times: int
    saves_processes: bool = False


LONG = Form("long", 5_000, 8, 30, 400, 20)
QUICK = Form("quick", 400, 2, 2, 90, 4, saves_processes=True)
SHORT = Form("short", 400, 2, 3, 90, 4)


@dataclass
class Run:
    """What a fault has in its hands while it is injected."""

    installation: Installation
    mode: Mode
    form: Form
    recipients: list[str]
    random: random.Random
    stack: ExitStack
    folder: Path
    templates: Templates
    referees: list[Referee]
    pace: float
    redis: Redis | None = None
    postgres: Postgres | None = None
    database: str = ""
    workers: list[Process] = field(default_factory=list)
    crashes: int = 0
    """Each allows one row in doubt per connection."""
    may_be_in_doubt: int = 0
    """Rows in doubt that are allowed besides."""
    broken: list[str] = field(default_factory=list)
    """What the fault itself found wrong."""
    worker_env: dict[str, str] = field(default_factory=dict)
    """For the next worker that is started, and only for it."""
    broadcast_id: int = 1
    history_lost: bool = False
    """The fault replaces the ledger by an older one."""

    # Before the sending.

    @property
    def referee(self) -> Referee:
        return self.referees[0]

    def misbehave(self, *rules: Rule, **limits: Any) -> None:
        """From now on the fault server does this; its pace stays."""
        self.referee.obey(replace(self.referee.plan, rules=rules, **limits))

    def behave(self) -> None:
        """The fault server takes everything again."""
        self.referee.obey(Plan(seed=self.referee.plan.seed, per_second=self.pace))

    def second_relay(self) -> Referee:
        """Another fault server, behind the first in the installation's settings."""
        plan = Plan(seed=self.referee.plan.seed, per_second=self.pace)
        made = Referee(self.folder / "referee-b", plan=plan)
        self.stack.enter_context(running(made))
        self.referees.append(made)
        self.set_relays()
        return made

    def set_relays(self, **settings: object) -> None:
        """Every fault server as a relay, with these settings besides."""
        self.installation.env.update(relays_environment(self.referees, **settings))

    def set(self, **settings: object) -> None:
        """Settings of the installation, such as `delivery__lease_seconds=5`."""
        for name, value in settings.items():
            self.installation.env[f"NEWSLETTER_{name.upper()}"] = str(value)

    def own_postgres(self) -> Postgres:
        """From now on the database is on a server that may be broken."""
        own = self.stack.enter_context(
            self.templates.own_server(self.database, self.folder / "postgresql")
        )
        self.postgres = own
        self.set(database__url=own.plain_url(self.database))
        return own

    @property
    def patience(self) -> float:
        """Seconds after which the run counts as stuck."""
        return self.form.patience_seconds

    # The sending.

    def start(self) -> None:
        """Start the workers and the broadcast."""
        if self.form.saves_processes:
            self.send_in_the_foreground()
            return
        self.start_workers()
        self.send()

    def start_workers(self) -> None:
        if self.mode is Mode.FULL:
            self.start_worker()
            self.start_beat()
        self.start_worker()

    def start_worker(self) -> Process:
        """One more worker process, as a supervisor starts it."""
        if self.mode is Mode.EMBEDDED:
            return self._worker(str(NEWSLETTER), "worker")
        name = f"w{len(self.workers)}@%h"
        quiet = ["--without-gossip", "--without-mingle"]
        return self._worker(str(CELERY), "-A", "worker", "worker", *quiet, "-n", name)

    def _worker(self, *command: str) -> Process:
        env, self.worker_env = self.worker_env, {}
        self.workers.append(self.process(*command, env=env))
        return self.workers[-1]

    def start_beat(self) -> None:
        self.process(str(CELERY), "-A", "worker", "beat")

    def process(self, *command: str, env: Mapping[str, str] | None = None) -> Process:
        """A process that is killed when the run is over, if it still lives."""
        here = replace(self.installation, env={**self.installation.env, **(env or {})})
        started = self.stack.enter_context(here.process(*command))
        self.stack.callback(_kill, started)
        return started

    def send_in_the_foreground(self) -> None:
        """Embedded: `newsletter send` does it all; full: as ever."""
        if self.mode is Mode.FULL:
            self.start_workers()
            self.send()
        else:
            self._worker(str(NEWSLETTER), "send", ISSUE_DATE)

    def send(self) -> None:
        self.installation.run("send", ISSUE_DATE, "--detach")

    def reach(self, share: float) -> None:
        """Wait until that share of the recipients has been mailed."""
        wanted = share * len(self.recipients)
        wait_until(lambda: self.accepted() >= wanted, f"{share:.0%} accepted", self.patience)

    def accepted(self) -> int:
        return sum(referee.accepted() for referee in self.referees)

    def kill(self, worker: Process) -> None:
        """kill -9, as the kernel does it when memory is short."""
        _kill(worker)
        self.crashes += 1

    # The end.

    def sessions(self) -> Sessions:
        url = self.installation.env["NEWSLETTER_DATABASE__URL"]
        if self.postgres is not None:
            url = self.postgres.plain_url(self.database)
        return connect(url.replace("sqlite:///", f"sqlite:///{self.installation.folder}/"))

    def state(self) -> BroadcastState | None:
        """None while the database does not answer."""
        sessions = self.sessions()
        try:
            with sessions.reading() as session:
                return session.scalar(
                    select(Broadcast.state).where(Broadcast.id == self.broadcast_id)
                )
        except SQLAlchemyError:
            return None
        finally:
            sessions.engine.dispose()

    def ledger(self) -> list[LedgerRow]:
        columns = (Delivery.address, Delivery.state, Delivery.reason)
        sessions = self.sessions()
        with sessions.reading() as session:
            rows = session.execute(
                select(*columns).where(Delivery.broadcast_id == self.broadcast_id)
            ).all()
        sessions.engine.dispose()
        return [LedgerRow(address, state.name.lower(), reason) for address, state, reason in rows]

    def events(self) -> list[dict[str, Any]]:
        return read_events(*(referee.log for referee in self.referees))

    def wait_until_ended(self) -> None:
        """Until the broadcast is done, or patience ends; I9."""
        end = time.monotonic() + self.form.patience_seconds
        while (state := self.state()) not in _ENDED:
            if state is BroadcastState.PAUSED or time.monotonic() > end:
                self.broken.append(f"I9 does not end by itself: {state}")
                break
            time.sleep(0.25)
        self._settle()

    def _settle(self) -> None:
        """A message on its way when the ledger was done is still counted."""
        before = -1
        while before != (before := self.accepted()):
            time.sleep(_SETTLED_SECONDS)

    def observed(self) -> Observed:
        """Everything that is judged."""
        events = self.events()
        unanswered = sum(event["event"] == "unanswered" for event in events)
        return Observed(
            recipients=self.recipients,
            accepted=[event["to"] for event in events if event["event"] == "accepted"],
            ledger=self.ledger(),
            shown=self._shown(),
            bound=CONNECTIONS * self.crashes + unanswered + self.may_be_in_doubt,
            history_lost=self.history_lost,
        )

    def _shown(self) -> dict[str, Any]:
        """What people are shown of it, from the same function as every command and page."""
        sessions = self.sessions()
        with sessions.reading() as session:
            accounts = accounting.account(session, self.broadcast_id)
        sessions.engine.dispose()
        states = {state.name.lower(): number for state, number in accounts.states.items()}
        return {**states, "gap": accounts.gap, "accounting": accounts.line()}


def relays_environment(referees: Sequence[Referee], **settings: object) -> dict[str, str]:
    """The relays' setting: the fault servers in their order."""
    relays = [
        {
            "name": f"relay-{'ab'[number]}",
            "url": f"smtp://127.0.0.1:{referee.port}?tls=none",
            "connections": CONNECTIONS,
            **settings,
        }
        for number, referee in enumerate(referees)
    ]
    return {"NEWSLETTER_RELAYS": json.dumps(relays)}


def _kill(process: Process) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
        process.wait()
