"""A scriptable SMTP server as a process of its own; its log is the truth about who was mailed.

`python -m tests.faults.referee --plan F --log F --port N`, until SIGTERM; SIGHUP reads the plan
again. Every line of the log is a JSON object, written before the client hears of it:

- `accepted`: the final dot was read and the message is taken, whatever the client hears of it.
- `refused`: a reply other than 2xx or 354, with its stage.
- `unanswered`: the client may have sent the dot and will hear no full reply to it.
- `dropped`: the connection was cut before DATA was answered by 354: nothing can be in doubt.
- `opened`, `closed`: connections, with the number of messages each took.
"""

import argparse
import asyncio
import json
import os
import signal
import time
from collections import Counter
from functools import partial
from pathlib import Path

import uvloop

from tests.faults.plans import Plan, Rule, Stage, read_plan
from tests.faults.session import Session

_BEFORE_RECIPIENT = frozenset({Stage.BANNER, Stage.EHLO, Stage.MAIL})


class Referee:
    """What all connections share: the plan, the log, and the counts that limits need."""

    def __init__(self, plan_file: Path, log_file: Path) -> None:
        self._plan_file = plan_file
        self._log = os.open(log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._done: Counter[tuple[int, str]] = Counter()
        self._next_reply_at = 0.0
        self._tokens = 0.0
        self._tokens_at = time.monotonic()
        self.open: set[Session] = set()
        self.number = 0
        self.reload()

    def reload(self) -> None:
        self.plan: Plan = read_plan(self._plan_file)
        self._done.clear()
        self._by_stage = {
            stage: [(n, rule) for n, rule in enumerate(self.plan.rules) if rule.stage is stage]
            for stage in Stage
        }

    def write(self, event: str, **facts: object) -> None:
        """One line; in the kernel's hands before this returns, so a kill loses none."""
        line = json.dumps({"event": event, **facts, "at": time.time()})
        os.write(self._log, line.encode() + b"\n")

    def rule(self, stage: Stage, recipient: str) -> Rule | None:
        """The first rule that applies to this passage; it is used up by it."""
        for number, rule in self._by_stage[stage]:
            key = (number, "" if stage in _BEFORE_RECIPIENT else recipient)
            if rule.times and self._done[key] >= rule.times:
                continue
            # A stage that knows no recipient yet: each passage is a draw of its own.
            self._done[number, "draws"] += 1
            drawn = recipient or str(self._done[number, "draws"])
            if rule.concerns(drawn, self.plan.seed):
                self._done[key] += 1
                return rule
        return None

    def throttled(self) -> bool:
        """True when this message comes too soon: a bucket that holds one second's worth."""
        rate = self.plan.throttle_per_second
        if not rate:
            return False
        now = time.monotonic()
        self._tokens = min(rate, self._tokens + (now - self._tokens_at) * rate)
        self._tokens_at = now
        if self._tokens < 1:
            return True
        self._tokens -= 1
        return False

    def reply_delay(self) -> float:
        """Seconds until the next message may be taken."""
        if not self.plan.per_second:
            return 0.0
        now = time.monotonic()
        self._next_reply_at = max(self._next_reply_at, now) + 1 / self.plan.per_second
        return self._next_reply_at - now


async def _serve(referee: Referee, port: int) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, referee.reload)
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    server = await loop.create_server(partial(Session, referee), "127.0.0.1", port, backlog=500)
    async with server:
        await ended.wait()


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    uvloop.run(_serve(Referee(options.plan, options.log), options.port))


if __name__ == "__main__":
    main()
