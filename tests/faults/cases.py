"""The register of faults: what is broken, in which modes, and in which of the suite's forms."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.runs import Run


class Mode(StrEnum):
    """How the installation under test is built."""

    EMBEDDED = "embedded"
    """SQLite and one `newsletter worker`."""
    FULL = "full"
    """PostgreSQL, Redis, two Celery workers and beat."""


BOTH = (Mode.EMBEDDED, Mode.FULL)
EMBEDDED = (Mode.EMBEDDED,)
FULL = (Mode.FULL,)

Injection = Callable[["Run"], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault.

    Attributes:
        inject: starts the sending and breaks something; what it returns to is judged.
        modes: in which it makes sense.
        quick, short: in which modes it belongs to `make faults-quick` and to `make test`.
        recipients: on the list at most; for faults that slow the relay down.
        sending_seconds: how long an undisturbed sending takes, so that the fault finds it
            under way; None: the form's own.
    """

    name: str
    subject: str
    inject: Injection
    modes: Sequence[Mode] = BOTH
    quick: Sequence[Mode] = ()
    short: Sequence[Mode] = ()
    recipients: int | None = None
    sending_seconds: float | None = None


FAULTS: list[Fault] = []


def fault(
    name: str,
    *,
    modes: Sequence[Mode] = BOTH,
    quick: Sequence[Mode] = (),
    short: Sequence[Mode] = (),
    recipients: int | None = None,
    sending_seconds: float | None = None,
) -> Callable[[Injection], Injection]:
    """Register the decorated function under `name`."""

    def register(inject: Injection) -> Injection:
        subject = inject.__module__.rpartition(".")[2]
        made = Fault(name, subject, inject, modes, quick, short, recipients, sending_seconds)
        FAULTS.append(made)
        return inject

    return register


def all_faults() -> list[Fault]:
    """Every fault of every subject."""
    from tests.faults import brokers, crashes, databases, relays, replies, steering

    del brokers, crashes, databases, relays, replies, steering
    return FAULTS


def chosen(faults: Iterable[Fault], form: str) -> list[tuple[Fault, Mode]]:
    """What belongs to a form of the suite: `quick`, `short`, or else everything."""
    return [(f, mode) for f in faults for mode in getattr(f, form, f.modes)]
