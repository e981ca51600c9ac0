"""The made issues that are sent: words from a fixed list, as long as a mail of a size needs."""

from bisect import bisect
from dataclasses import dataclass
from pathlib import Path
from random import Random

from newsletter.core.clock import now
from newsletter.core.tokens import TokenKeys
from newsletter.issues.parsing import parse
from newsletter.rendering.compiled import Frozen, WireForm
from newsletter.rendering.compiler import compile_issue
from newsletter.rendering.message import personalise, prepare
from newsletter.rendering.templates import TemplateFolders
from tests import factories

SECRET = "a secret of the benchmarks, long enough to be one"
KEYS = TokenKeys.from_secrets(SECRET)
TEMPLATES = Path(__file__).parent / "templates"
"""The shipped template alone weighs more than 4 KB."""

_HEAD = """\
---
newsletter: field-notes
title: Field Notes
date: 2026-06-{day}
subject: "Measured twice"
---
## The Big Idea
"""
_SAID = (
    "a ledger is kept so that nobody has to remember what was done and what was only meant to be "
    "the relay answers when it can and the sender waits for as long as it takes to be sure of it "
    "every queue grows until somebody measures how long the oldest letter has been lying in there "
    "records survive their writers because each line says who wrote it when and what for at night"
)
_WORDS = _SAID.split()
_SENTENCE_WORDS, _SENTENCES = 12, 2
_PARAGRAPH_CHARACTERS = 100
"""Fewer than any has."""
_LINK_EVERY = 4


@dataclass(frozen=True, slots=True)
class MadeMail:
    """An issue whose mail has about the size asked for.

    Attributes:
        size: what one recipient's message has on the wire, in bytes.
    """

    text: str
    frozen: Frozen
    size: int


def of_size(size: int, *, day: int = 17) -> MadeMail:
    """The longest issue of whole paragraphs whose mail is no longer than `size` bytes."""
    most = range(2, size // _PARAGRAPH_CHARACTERS)
    return _made(bisect(most, size, key=lambda paragraphs: _made(paragraphs, day).size) + 1, day)


def wire(frozen: Frozen, form: WireForm = WireForm.AGGREGATE) -> bytes:
    """One recipient's message."""
    return personalise(prepare(frozen, form), factories.recipient(), 1, KEYS)


def _made(paragraphs: int, day: int) -> MadeMail:
    text = _HEAD.format(day=day) + "".join(map(_paragraph, range(paragraphs)))
    folders = TemplateFolders.of(TEMPLATES)
    identity = factories.identity()
    frozen = Frozen(
        1, now(), compile_issue(parse(text, "made.md"), identity, folders).email, identity
    )
    return MadeMail(text, frozen, len(wire(frozen)))


def _paragraph(number: int) -> str:
    chosen = Random(number)
    sentences = [" ".join(chosen.choices(_WORDS, k=_SENTENCE_WORDS)) for _ in range(_SENTENCES)]
    link = f" [More](https://example.org/{number})." if number % _LINK_EVERY == 0 else ""
    return ". ".join(sentence.capitalize() for sentence in sentences) + "." + link + "\n\n"
