"""How a file is to be imported, and what came of it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.orm import Session

from newsletter.core.erasure_key import ErasureKey
from newsletter.core.sentences import Sentence
from subscribers.files.people_files import Bad, Reading
from subscribers.imports.fates import Fate
from subscribers.models import EVERYWHERE, SubscriptionStatus


@dataclass(slots=True)
class ImportReport:
    """What an import did, or when rehearsed would do.

    Attributes:
        added_as: the status of those that were added.
        examples: of a rehearsal: file, line and address of a few rows of each fate.
    """

    counts: Counter[Fate] = field(default_factory=Counter)
    added_as: Mapping[str, int] = field(default_factory=Counter)
    examples: Mapping[Fate, list[str]] = field(default_factory=dict)
    bad_rows: Path | None = None
    first_problems: list[Sentence] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return self.counts.total()

    def line(self) -> str:
        """The sentence people are shown."""
        fates = ", ".join(self._shown(fate) for fate in Fate if self.counts[fate])
        return f"{self.rows:,} rows: {fates or 'nothing to do'}."

    def _shown(self, fate: Fate) -> str:
        statuses = {name: n for name, n in self.added_as.items() if n}
        if fate is not Fate.ADDED or set(statuses) <= {SubscriptionStatus.ACTIVE}:
            return f"{self.counts[fate]:,} {fate}"
        as_what = ", ".join(f"{n:,} {name}" for name, n in sorted(statuses.items()))
        return f"{self.counts[fate]:,} {fate} ({as_what})"


@dataclass(frozen=True, slots=True)
class Step:
    """One chunk of a file, stored and about to be committed.

    Attributes:
        rows: how many rows of the file it was.
        bad: those of them that were bad, but for what says who was erased.
        report: what the import has come to, this chunk included.
    """

    rows: int
    bad: Sequence[Bad]
    bytes_read: int
    report: ImportReport


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to import.

    Attributes:
        unconfirmed: active rows become pending, their owners still have to confirm.
        tags: words for the attribute `tags` of everybody who is new.
        rehearse: find out what would happen and change nothing.
        bad_rows: where bad rows go, with their reasons; such a file imports again once mended.
        reading: how the file is to be read.
        erased: the key by which people who were erased are recognised, and left out.
        list_named: finds or makes the list that a row names, as the file's own column has it.
        suppressed_on: ids of the lists, or EVERYWHERE, for suppressions that name no list.
        already: so many rows of the file are in: an import that was cut off goes on behind them.
        with_each: called in the transaction of each chunk, before its commit; rehearsed not.
        in_company: this process has other things to do, and gets time for them.
    """

    unconfirmed: bool = False
    tags: tuple[str, ...] = ()
    rehearse: bool = False
    bad_rows: Path | None = None
    reading: Reading = field(default_factory=Reading)
    erased: ErasureKey | None = None
    list_named: Callable[[Session, str], int] | None = None
    suppressed_on: tuple[int, ...] = (EVERYWHERE,)
    already: int = 0
    with_each: Callable[[Session, Step], None] = lambda _session, _step: None
    in_company: bool = False
