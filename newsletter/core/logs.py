"""Structured logs on standard error: ids, never addresses; a known secret never gets through."""

import json
import logging
import sys
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, unquote

import structlog

MASK = "********"


def configure(*, level: str, json_lines: bool, secrets: Iterable[str] = ()) -> None:
    """Send the whole process's logs, ours and the libraries', through one masked formatter."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        cache_logger_on_first_use=False,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if json_lines
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handler = logging.StreamHandler()
    handler.setFormatter(_Masking(formatter, secrets))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())


class _Masking(logging.Formatter):
    """The last gate: whatever was rendered, known secrets in it become stars."""

    def __init__(self, formatter: logging.Formatter, secrets: Iterable[str]) -> None:
        super().__init__()
        self._formatter = formatter
        forms = {form for secret in secrets for form in _forms(secret)}
        self._forms = sorted(forms, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        line = self._formatter.format(record)
        for form in self._forms:
            line = line.replace(form, MASK)
        return line


def _forms(secret: str) -> set[str]:
    """How a secret may look once it is written: with `%XX` read or written, escaped up to twice."""
    forms = {secret, unquote(secret), quote(secret, safe="")}
    for _ in range(2):
        forms |= {escaped for text in forms for escaped in _escaped(text)}
    return forms


def _escaped(text: str) -> tuple[str, str, str]:
    """As Python's repr shows it, and as JSON does."""
    return (
        repr(text)[1:-1],
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
    )


def get(name: str) -> Any:
    """A logger for one module; call `log.info("what.happened", broadcast_id=7)`."""
    return structlog.stdlib.get_logger(name)
