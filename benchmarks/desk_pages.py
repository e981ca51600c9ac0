"""Every page of the desk, asked as an admin's browser asks, and the statements that each takes."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from statistics import median
from typing import Any
from urllib.parse import urlencode

import httpx2
from fastapi.routing import APIRoute

from benchmarks.history import History
from benchmarks.plans import Statement, statements
from newsletter.core.db import Sessions
from newsletter.web.desk.routers import ROUTERS
from tests.furnished.house import paths_of

REFERENCE = "/login"
_FORM_TOKEN = re.compile(r'name="form_token" value="([^"]+)"')
_SECRET = re.compile(r"[\w-]{40,}")
_PATIENCE_SECONDS = 120
_ASKED = {"/settings/newsletters/{newsletter_id}/look/mail": "?scheme=light&template=digest"}
"""What a page says that shows it in a frame."""
_FROM_ELSEWHERE = "/pictures/{token}"
"""Others' servers would be measured."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a browser asks for; with `fields`, a form is posted."""

    path: str
    fields: Mapping[str, Any] | None = None
    said: str = ""

    def __str__(self) -> str:
        shown = _SECRET.sub("…", self.path)
        return f"{'POST ' if self.fields else ''}`{shown}`{self.said}"


@dataclass(slots=True)
class Answered:
    """How long it took to be answered, round by round, and the slowest statement of all."""

    rounds: list[float] = field(default_factory=list)
    statements: int = 0
    slowest: Statement | None = None

    @property
    def seconds(self) -> float:
        return median(self.rounds)


@dataclass(frozen=True, slots=True)
class Questions:
    """What is asked: whole pages, and what follows a page or is put into one.

    Attributes:
        left_out: routes that want to be asked something in their address.
    """

    pages: Sequence[Question]
    parts: Sequence[Question]
    left_out: Sequence[str]


class Browser:
    """An admin's."""

    def __init__(self, base: str, secret: str) -> None:
        self._client = httpx2.Client(base_url=base, timeout=_PATIENCE_SECONDS)
        self._client.cookies.set("desk", secret)
        self._stranger = httpx2.Client(base_url=base)
        self._base = base
        self._token = ""

    def close(self) -> None:
        self._client.close()
        self._stranger.close()

    def kind(self, path: str) -> str:
        """`page`, `part`, `asks`, or empty: a stream, or the way to another page."""
        with self._client.stream("GET", path) as answer:
            if answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
                return "asks"
            kind = answer.headers.get("content-type", "")
            if answer.is_redirect or kind.startswith("text/event-stream"):
                return ""
            self._check(answer, path)
            begins = next(answer.iter_text(), "")
        is_mail = "sandbox" in answer.headers["content-security-policy"]
        return "page" if begins.startswith("<!DOCTYPE html>") and not is_mail else "part"

    def ask(self, question: Question) -> str:
        """The whole answer; a run in which something else than an answer comes does not count."""
        if question.fields is None:
            client = self._stranger if question.path == REFERENCE else self._client
            answer = client.get(question.path)
        else:
            fields = {"form_token": self._form_token(), **question.fields}
            headers = {"Origin": self._base}
            answer = self._client.post(question.path, data=fields, headers=headers)
        self._check(answer, question.path)
        return str(answer.text)

    def _form_token(self) -> str:
        if not self._token:
            self._token = _FORM_TOKEN.findall(self.ask(Question("/account")))[0]
        return self._token

    def _check(self, answer: httpx2.Response, path: str) -> None:
        if not answer.is_success:
            raise SystemExit(f"the run does not count: {path} was answered {answer.status_code}")


def questions(browser: Browser, past: History, people: int) -> Questions:
    """Each GET route with its things filled in, and what editors ask of the larger pages."""
    things = {
        **past.things,
        "/broadcasts/{broadcast_id}/in-doubt broadcast_id": [past.under_way],
    }
    paths = [
        f"{path}{_ASKED.get(route, '')}" for route in _routes() for path in paths_of(route, things)
    ]
    kinds = {path: browser.kind(path) for path in dict.fromkeys(paths)}
    found = {
        wanted: [Question(path) for path, kind in kinds.items() if kind == wanted]
        for wanted in ("page", "part")
    }
    return Questions(
        [*found["page"], *_narrower(past, people)],
        [*found["part"], *_counts(past, people)],
        [path for path, kind in kinds.items() if kind == "asks"],
    )


def _narrower(past: History, people: int) -> Iterator[Question]:
    """Pages with a question in their address."""
    weekly, monthly = past.things["list_id"]
    for asked in (
        {"older": people // 2},
        {"list": monthly, "status": "pending"},
        {"q": "porter"},
        {"q": f"-{people - 7}@"},
        {"q": "nobody.here"},
        {"list": weekly, "segment": 'attributes.plan = "pro"'},
        {"list": weekly, "segment": "attributes.score > 998"},
        {"list": weekly, "segment": "sample(10%)"},
    ):
        yield _with("/subscribers", asked)
    yield _with("/broadcasts", {"before": 20})
    yield _with("/reports", {"page": 2})
    yield _with("/reports/growth", {"span": "3-years"})
    yield _with("/settings/audit", {"action": "list.changed"})


def _counts(past: History, people: int) -> Iterator[Question]:
    """What pages ask for once they are there: numbers, and searches that read everybody."""
    weekly, monthly = past.things["list_id"]
    for asked in (
        {"q": f"-{people - 7}@"},
        {"q": "nobody.here"},
        {"list": weekly, "segment": "attributes.score > 998"},
    ):
        yield _with("/subscribers", {**asked, "patiently": 1})
    for asked in (
        {"list": weekly, "status": "active"},
        {"q": f"-{people - 7}@"},
        {"list": weekly, "segment": 'attributes.plan = "pro"'},
    ):
        yield _with("/subscribers/count", asked)
    form = f"/broadcasts/new/{past.things['issue_id'][0]}"
    for lists, segment in (([weekly], ""), ([weekly, monthly], 'attributes.plan = "pro"')):
        said = f" ({len(lists)} list{'s' * (len(lists) > 1)}{', a segment' if segment else ''})"
        order = {"lists": lists, "segment": segment, "when": "now", "stale_hours": "24"}
        for part in ("audience", "summary"):
            yield Question(f"{form}/{part}", order, said)
    yield Question(f"{form}/review", order)
    for text in ('attributes.plan = "pro"', "attributes.score > 900"):
        fields = {"list": weekly, "text": text, "by": "text"}
        yield Question("/segments/inside", fields, f" ({text})")


def _with(path: str, asked: Mapping[str, Any]) -> Question:
    return Question(f"{path}?{urlencode(asked)}")


def _routes() -> list[str]:
    return [
        route.path
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        and "GET" in (route.methods or ())
        and route.path != _FROM_ELSEWHERE
    ]


def asked_in_turn(
    sessions: Sessions, browser: Browser, asked: Sequence[Question], rounds: int
) -> dict[str, Answered]:
    """Questions take turns, after a round that does not count."""
    found = {str(question): Answered() for question in asked}
    for number in range(rounds + 1):
        for question in asked:
            with statements(sessions) as ran:
                began = time.perf_counter()
                browser.ask(question)
                seconds = time.perf_counter() - began
            if number:
                _note(found[str(question)], seconds, ran)
    return found


def _note(answered: Answered, seconds: float, ran: Sequence[Statement]) -> None:
    answered.rounds.append(seconds)
    answered.statements = len(ran)
    answered.slowest = max(ran, key=lambda statement: statement.seconds, default=None)
