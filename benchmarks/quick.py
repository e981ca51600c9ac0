"""The ratios that count in under 50 seconds: `make bench-quick`.

The last line of standard output is one JSON object of numbers.
"""

import json
import time
from dataclasses import replace

from benchmarks import others
from benchmarks.engine import SESSIONS
from benchmarks.sending import FULL, LARGE, POSTGRESQL, SMTPLIB, SOURCE, SQLITE, race
from tests.servers import packages, processes

FEWEST, MOST = 1_500, 4_000
ROUNDS = 9
SECONDS = 42
"""As many rounds as fit into this, servers and seeding included."""
_PROBE_MESSAGES = 1_000


def main() -> None:
    packages.install_missing()
    until = time.monotonic() + SECONDS
    scale = replace(FULL, people=_people(), rounds=ROUNDS)
    _, found = race(LARGE, scale, until=until, all_of_them=False)
    ours, small = found[POSTGRESQL], found[SQLITE]
    source, smtplib = found[SOURCE], found[SMTPLIB]
    figures = {
        "vs_smtp_source_postgresql": source.wall / ours.wall,
        "vs_smtp_source_sqlite": source.wall / small.wall,
        "vs_smtplib": smtplib.wall / ours.wall,
        "cpu_us_per_message": ours.cpu * 1e6,
        "rss_mb": ours.rss_mb,
        "sessions": SESSIONS,
        "postgresql_per_second": ours.per_second,
        "sqlite_per_second": small.per_second,
        "smtp_source_per_second": source.per_second,
        "smtplib_per_second": smtplib.per_second,
    }
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


def _people() -> int:
    """About a second of the load generator's work: a machine that is busy gets less to do."""
    with processes.smtp_sink() as sink:
        pace = 1 / others.smtp_source(sink, LARGE, _PROBE_MESSAGES).wall
    return max(FEWEST, min(MOST, round(pace)))


if __name__ == "__main__":
    main()
