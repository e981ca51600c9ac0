"""The ratios that count in under 50 seconds: `make bench-quick`.

The last line of standard output is one JSON object of numbers.
"""

import json
import time
from dataclasses import replace

from benchmarks.engine import SESSIONS
from benchmarks.sending import FULL, LARGE, POSTGRESQL, SMTPLIB, SOURCE, SQLITE, race
from tests.servers import packages

PEOPLE, ROUNDS = 3_000, 9
SECONDS = 42
"""As many rounds as fit into this, servers and seeding included."""


def main() -> None:
    packages.install_missing()
    scale = replace(FULL, people=PEOPLE, rounds=ROUNDS)
    _, found = race(LARGE, scale, until=time.monotonic() + SECONDS, all_of_them=False)
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


if __name__ == "__main__":
    main()
