"""Chapters about sending: contestants, tracking, distance, list size, workers, signatures."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from benchmarks import mails, others
from benchmarks.delay import delayed, round_trip
from benchmarks.engine import (
    SESSIONS,
    Audience,
    Database,
    Worker,
    drain,
    on_postgresql,
    on_sqlite,
    worker,
)
from benchmarks.interleaved import Result, Sample, compete, say, timed
from benchmarks.mails import MadeMail
from benchmarks.page import Chapter, Target, results_table, shown_time, table
from benchmarks.plain import PlainMail
from benchmarks.signing import ED25519, RSA, alone
from newsletter.core.sections import TrackingMode
from tests.servers import processes

SMALL, LARGE = 4 * 1024, 40 * 1024
ROUND_TRIP_SECONDS = 0.02
PATIENCE_SECONDS = 480
SOURCE, SMTPLIB = "smtp-source -d, 24 sessions", "smtplib + EmailMessage, 1 connection"
AIOSMTPLIB, NODEMAILER = "aiosmtplib, ready bytes, 24", "nodemailer's pool, ready bytes, 24"
POSTGRESQL, SQLITE = "ours on PostgreSQL, 24", "ours on SQLite, 24"

Contestants = dict[str, Callable[[], Sample]]


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    rounds: int
    people: int
    crowds: tuple[int, ...]
    million: int
    ledger_rows: int
    claims: int


FULL = Scale(5, 10_000, (10_000, 100_000, 1_000_000), 1_000_000, 10_000_000, 500)


@dataclass(frozen=True, slots=True)
class Field:
    """Where contestants meet: one sink, and both databases."""

    sink: int
    databases: Mapping[str, Database]

    def ours(
        self, name: str, people: int, made: MadeMail, unknown: TrackingMode = TrackingMode.AGGREGATE
    ) -> "Ours":
        return Ours(self, Audience(self.databases[name], people), made, unknown)


@dataclass(frozen=True, slots=True)
class Ours:
    """Our part of a race: each round is a new broadcast to the same people."""

    field: Field
    audience: Audience
    made: MadeMail
    unknown: TrackingMode

    def round(self, *workers: Worker) -> Sample:
        """Freezing is not counted."""
        number = self.audience.broadcast(self.made, self.unknown)
        return drain(workers, self.audience, number)


@contextmanager
def field() -> Iterator[Field]:
    """PostgreSQL waits for the disk, as an operator's does."""
    with (
        processes.smtp_sink() as sink,
        processes.postgresql(durable=True) as server,
        on_postgresql(server) as postgresql,
        on_sqlite() as sqlite,
    ):
        yield Field(sink, {POSTGRESQL: postgresql, SQLITE: sqlite})


def race(
    size: int, scale: Scale, *, until: float = math.inf, all_of_them: bool = True
) -> tuple[int, dict[str, Result]]:
    """Everybody into the same sink, in turn; returns the message's size too."""
    made = mails.of_size(size)
    wire = mails.wire(made.frozen)
    plain = max(scale.people // 20, 1)
    addresses = [f"reader{n}@mail.example.org" for n in range(plain)]
    with field() as ground:
        ours = {name: ground.ours(name, scale.people, made) for name in ground.databases}
        sends = partial(PlainMail(made.frozen).send_all, ground.sink, addresses)
        contestants: Contestants = {
            SOURCE: partial(others.smtp_source, ground.sink, made.size, scale.people),
            SMTPLIB: lambda: timed(sends, plain),
        }
        if all_of_them:
            contestants |= _libraries(ground.sink, wire, scale.people // 4)
        with (
            worker(ground.databases[POSTGRESQL], ground.sink) as large,
            worker(ground.databases[SQLITE], ground.sink) as small,
        ):
            contestants[POSTGRESQL] = partial(ours[POSTGRESQL].round, large)
            contestants[SQLITE] = partial(ours[SQLITE].round, small)
            return made.size, compete(contestants, scale.rounds, until=until)


def _libraries(sink: int, wire: bytes, messages: int) -> Contestants:
    found: Contestants = {AIOSMTPLIB: partial(others.aiosmtplib_sends, sink, wire, messages)}
    pool = others.nodemailer(sink, wire, messages)
    return found | ({NODEMAILER: pool} if pool else {})


def contestants(size: int, scale: Scale) -> Chapter:
    """Ours beside what others do."""
    exact, results = race(size, scale)
    said = f"""\
{scale.people:,} messages of {exact:,} bytes into Postfix's `smtp-sink` on the same machine (the
slower contestants send fewer). Ours is one worker process: it claims from the ledger, checks
consent again, commits the intent, offers the message and commits the outcome, with durable commits;
links and pixel are for aggregate figures. The others remember nothing. CPU is that of the sending
process: PostgreSQL's own and the sink's are not in it. The issue is made, and its template is the
benchmarks' own: the shipped one alone weighs more than 4 KB."""
    targets = list(_targets(results)) if size == LARGE else []
    return Chapter(f"Send {size // 1024} KB", said, results_table(results), targets)


def _targets(results: Mapping[str, Result]) -> Iterator[Target]:
    def faster(name: str, than: str, wanted: float) -> Iterator[Target]:
        if than in results:
            found = results[than].wall / results[name].wall
            yield Target(f"{name}: times {than}", wanted, found)

    for name in (POSTGRESQL, SQLITE):
        yield from faster(name, SOURCE, 1)
        yield from faster(name, SMTPLIB, 5)
        yield from faster(name, AIOSMTPLIB, 2)
        yield from faster(name, NODEMAILER, 1)
        cpu = results[name].cpu * 1e6
        yield Target(f"{name}: CPU a message", 150, cpu, at_most=True, unit=" µs")


def tracking(scale: Scale) -> Chapter:
    """Aggregate and individual links."""
    made = mails.of_size(LARGE)
    modes = {"aggregate": TrackingMode.AGGREGATE, "individual": TrackingMode.INDIVIDUAL}
    with field() as ground, worker(ground.databases[POSTGRESQL], ground.sink) as one:
        audience = Audience(ground.databases[POSTGRESQL], scale.people)
        ours = {n: Ours(ground, audience, made, mode) for n, mode in modes.items()}
        runs = {f"links for {n} figures": partial(o.round, one) for n, o in ours.items()}
        results = compete(runs, scale.rounds)
    said = "40 KB on PostgreSQL: links and pixel that name the broadcast, or each delivery."
    return Chapter("Tracking", said, results_table(results))


def distance(scale: Scale) -> Chapter:
    """A relay that is 20 ms away: one round trip per message and connection is the bound."""
    made = mails.of_size(LARGE)
    with field() as ground, delayed(ground.sink, ROUND_TRIP_SECONDS) as far:
        found = round_trip(far)
        ours = {name: ground.ours(name, scale.people, made) for name in ground.databases}
        with (
            worker(ground.databases[POSTGRESQL], far) as large,
            worker(ground.databases[SQLITE], far) as small,
        ):
            runs: Contestants = {
                SOURCE: partial(others.smtp_source, far, made.size, max(scale.people // 5, 1)),
                POSTGRESQL: partial(ours[POSTGRESQL].round, large),
                SQLITE: partial(ours[SQLITE].round, small),
            }
            results = compete(runs, scale.rounds)
    said = f"""\
40 KB through a proxy that delays every byte by {ROUND_TRIP_SECONDS * 500:.0f} ms each way. A
command and its reply take {found * 1e3:.1f} ms through it when nothing else goes on. The bound is
{SESSIONS} connections / {found * 1e3:.1f} ms = {SESSIONS / found:,.0f} messages a second: one round
trip for each message."""
    share = {name: result.per_second * found / SESSIONS * 100 for name, result in results.items()}
    targets = [
        Target(f"{n}: share of the bound", 95, share[n], unit=" %") for n in (POSTGRESQL, SQLITE)
    ]
    return Chapter("A relay 20 ms away", said, results_table(results), targets)


def growth(scale: Scale) -> Chapter:
    """Memory and pace from small lists to large ones; every list has a worker of its own."""
    made = mails.of_size(SMALL)
    rows: list[list[str]] = []
    targets: list[Target] = []
    for name in (POSTGRESQL, SQLITE):
        samples = dict(_growing(name, made, scale.crowds))
        rows += [_row(f"{name}, {people:,} recipients", people, s) for people, s in samples.items()]
        targets += _flat(name, samples)
    head = ["", "in all", "per second", "CPU each", "memory"]
    said = f"""\
{made.size:,} bytes a message; each list is sent once, by a fresh worker process. A list that would
take longer than {PATIENCE_SECONDS / 60:.0f} minutes is left out."""
    return Chapter("Small lists and large ones", said, table(head, rows), targets)


def _growing(name: str, made: MadeMail, crowds: Sequence[int]) -> Iterator[tuple[int, Sample]]:
    wall = 0.0
    for people in crowds:
        if people * wall > PATIENCE_SECONDS:
            say(f"{people:,} PEOPLE ARE LEFT OUT: at this pace they take {people * wall:,.0f} s")
            return
        with field() as ground, worker(ground.databases[name], ground.sink) as one:
            sample = ground.ours(name, people, made).round(one)
        say(f"  {name}, {people:,} people: {1 / sample.wall:,.0f} per second")
        wall = sample.wall
        yield people, sample


def _row(name: str, people: int, sample: Sample) -> list[str]:
    per_second, memory = f"{1 / sample.wall:,.0f}", f"{sample.rss_mb:,.0f} MB"
    return [name, shown_time(sample.wall * people), per_second, shown_time(sample.cpu), memory]


def _flat(name: str, samples: Mapping[int, Sample]) -> Iterator[Target]:
    least, most = min(samples), max(samples)
    peak = samples[most].rss_mb
    grown = abs(peak / samples[least].rss_mb - 1) * 100
    yield Target(f"{name}: memory at {most:,}", 150, peak, at_most=True, unit=" MB")
    yield Target(f"{name}: change since {least:,}", 10, grown, at_most=True, unit=" %")


def workers(scale: Scale) -> Chapter:
    """One worker process and two."""
    made = mails.of_size(LARGE)
    with field() as ground:
        database = ground.databases[POSTGRESQL]
        ours = ground.ours(POSTGRESQL, scale.people, made)
        both = partial(worker, database, ground.sink, over_all=2 * SESSIONS)
        with both() as first, both() as second:
            runs: Contestants = {
                "1 worker process": partial(ours.round, first),
                "2 worker processes": partial(ours.round, first, second),
            }
            results = compete(runs, scale.rounds)
    said = f"""\
40 KB on PostgreSQL, {SESSIONS} connections for each process. Sink, database and workers share the
machine's cores, and the sink is one process: what a second worker adds here is little."""
    return Chapter("Workers", said, results_table(results))


def signatures(scale: Scale) -> Chapter:
    """DKIM by either algorithm, or none."""
    made = mails.of_size(LARGE)
    most = {"no signature": 150, "Ed25519": 250, "RSA-2048": 450}
    results: dict[str, Result] = {}
    with field() as ground:
        ours = ground.ours(POSTGRESQL, scale.people, made)
        database, keys = ground.databases[POSTGRESQL], _keys()
        # Who has just sent holds its connections for some seconds: each needs its own.
        sender = partial(worker, database, ground.sink, over_all=3 * SESSIONS)
        with sender() as none, sender(dkim=keys[0]) as small, sender(dkim=keys[1]) as large:
            senders = zip(most, (none, small, large), strict=True)
            runs = {name: partial(ours.round, one) for name, one in senders}
            results = compete(runs, scale.rounds)
    edwards, rivest = (alone(signer) * 1e6 for signer in (ED25519, RSA))
    said = f"""\
40 KB on PostgreSQL, every message signed for its recipient. The operation with the private key
alone takes OpenSSL {edwards:.0f} µs of CPU with Ed25519 and {rivest:.0f} µs with RSA-2048."""
    targets = [
        Target(f"{name}: CPU a message", most[name], result.cpu * 1e6, at_most=True, unit=" µs")
        for name, result in results.items()
    ]
    return Chapter("DKIM", said, results_table(results), targets)


def _keys() -> Sequence[Sequence[Mapping[str, str]]]:
    """Settings with a new Ed25519 key, and with a new RSA key."""
    keys = (
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(public_exponent=65_537, key_size=2_048),
    )
    pems = [
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()
        for key in keys
    ]
    return [[{"domain": "example.org", "selector": "bench", "key": pem}] for pem in pems]
