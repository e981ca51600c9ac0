"""The other contestants: Postfix's load generator, aiosmtplib, nodemailer's pool."""

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import aiosmtplib
import uvloop

from benchmarks.engine import ROOT, SESSIONS
from benchmarks.interleaved import Sample, say, timed
from tests.servers.packages import SMTP_SINK

SENDER = "editor@example.org"
_NODEMAILER = Path(__file__).parent / "nodemailer"
_CACHE = ROOT / ".cache" / "nodemailer"


def smtp_source(port: int, size: int, messages: int, sessions: int = SESSIONS) -> Sample:
    """Postfix's, in C: one fixed body, no ledger."""
    sink = SMTP_SINK.path()
    assert sink, "postfix is installed"
    counts = ["-s", str(sessions), "-l", str(size), "-m", str(messages)]
    addresses = ["-f", SENDER, "-t", "reader@example.org"]
    command = [str(sink.with_name("smtp-source")), "-d", *counts, *addresses, f"127.0.0.1:{port}"]
    began = time.perf_counter()
    with subprocess.Popen(command) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"smtp-source ended with {process.returncode}")
    cpu = used.ru_utime + used.ru_stime
    return Sample(wall / messages, cpu / messages)


def aiosmtplib_sends(port: int, wire: bytes, messages: int, sessions: int = SESSIONS) -> Sample:
    """Ready bytes over as many connections, on uvloop; no ledger."""

    def work() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_send_all(port, wire, messages, sessions))

    return timed(work, messages)


async def _send_all(port: int, wire: bytes, messages: int, sessions: int) -> None:
    numbers = iter(range(messages))
    await asyncio.gather(*(_send(port, wire, numbers) for _ in range(sessions)))


async def _send(port: int, wire: bytes, numbers: Iterator[int]) -> None:
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False)
    async with client:
        for number in numbers:
            await client.sendmail(SENDER, [f"r{number}@example.org"], wire)


def nodemailer(port: int, wire: bytes, messages: int) -> Callable[[], Sample] | None:
    """Its pooled transport with ready bytes; None, said aloud, where there is no npm."""
    if not _installed():
        return None
    command = ["node", str(_CACHE / "send.js"), str(port), str(SESSIONS), str(messages)]

    def work() -> Sample:
        done = subprocess.run(command, input=wire, stdout=subprocess.PIPE, check=True)
        said = json.loads(done.stdout)
        return Sample(said["seconds"] / messages, said["cpu"] / messages, said["max_rss_mb"])

    return work


def versions() -> str:
    """Of what is not ours."""
    postfix = subprocess.run(
        ["postconf", "-dh", "mail_version"], capture_output=True, text=True, check=False
    )
    pinned = json.loads((_NODEMAILER / "package.json").read_text(encoding="utf-8"))
    return (
        f"Postfix {postfix.stdout.strip()}, aiosmtplib {metadata.version('aiosmtplib')}, "
        f"nodemailer {pinned['dependencies']['nodemailer']}"
    )


def _installed() -> bool:
    """Into `.cache`, by the lock file; left out where npm is missing or cannot install."""
    if not shutil.which("npm") or not shutil.which("node"):
        say("NODEMAILER IS LEFT OUT: there is no npm here")
        return False
    _CACHE.mkdir(parents=True, exist_ok=True)
    for file in _NODEMAILER.iterdir():
        shutil.copy(file, _CACHE)
    if (_CACHE / "node_modules" / ".package-lock.json").exists():
        return True
    install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    if subprocess.run(install, cwd=_CACHE, stdout=subprocess.DEVNULL, check=False).returncode:
        say("NODEMAILER IS LEFT OUT: npm cannot install it, see above")
        return False
    return True
