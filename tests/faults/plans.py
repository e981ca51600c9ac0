"""What the fault server does, as a plan: plain values, written as JSON, read again on SIGHUP."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from zlib import crc32


class Stage(StrEnum):
    """Where in a session something happens."""

    BANNER = "banner"
    EHLO = "ehlo"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"
    """While the body arrives: before the dot has been read."""
    DOT = "dot"
    """The message has been read to its end; whether it is taken, `accepts` says."""


class Act(StrEnum):
    """What happens there."""

    REPLY = "reply"
    DROP = "drop"
    RESET = "reset"
    SILENCE = "silence"
    """No reply for `seconds`, then the connection is dropped."""
    LATE = "late"
    """The reply after `seconds`."""
    DRIP = "drip"
    """The reply byte by byte, over `seconds`; without a reply it is never a full one."""
    DEAF = "deaf"
    """Nothing more is read for `seconds`, then the connection is dropped."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One misbehaviour.

    Attributes:
        share: of all recipients, chosen by their address and the plan's seed; `recipients` names
            them instead. Stages before RCPT know no recipient: the share is of the passages.
        times: how often for one recipient (before RCPT: for the whole server); 0 is always.
        reply: lines without CRLF, codes included, separated by a line feed.
        accepts: at the dot only: the message is taken, and logged, before anything else happens.
    """

    stage: Stage
    act: Act = Act.REPLY
    reply: str = ""
    share: float = 1.0
    recipients: tuple[str, ...] = ()
    times: int = 1
    seconds: float = 0.0
    accepts: bool = False

    def concerns(self, recipient: str, seed: int) -> bool:
        if self.recipients:
            return recipient in self.recipients
        return crc32(f"{seed} {self.stage} {recipient}".encode()) % 10_000 < self.share * 10_000


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a server does.

    Attributes:
        per_second: how fast messages are taken at most, by answering late; 0: at once. It makes
            a sending last, so that a fault finds it under way.
        messages_per_connection, connections, throttle_per_second: limits that are answered by
            refusals; 0: none.
        lies: offers PIPELINING and throws away what came behind a command.
    """

    rules: tuple[Rule, ...] = ()
    seed: int = 1
    per_second: float = 0.0
    messages_per_connection: int = 0
    limit_reply: str = "452 4.5.3 Too many messages on this connection"
    connections: int = 0
    throttle_per_second: float = 0.0
    lies: bool = False
    extensions: tuple[str, ...] = field(
        default=("PIPELINING", "SIZE 52428800", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8")
    )

    def write(self, file: Path) -> None:
        """Replaced in one step: a reader sees the old plan or the new one."""
        beside = file.with_suffix(".new")
        beside.write_text(json.dumps(asdict(self)))
        beside.replace(file)


def read_plan(file: Path) -> Plan:
    """The plan that `Plan.write` wrote."""
    said: dict[str, Any] = json.loads(file.read_text())
    rules = tuple(_rule(rule) for rule in said.pop("rules"))
    return Plan(**{**said, "rules": rules, "extensions": tuple(said["extensions"])})


def _rule(said: Mapping[str, Any]) -> Rule:
    known = {"stage": Stage(said["stage"]), "act": Act(said["act"])}
    return Rule(**{**said, **known, "recipients": tuple(said["recipients"])})
