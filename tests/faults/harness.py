"""One run: an installation, a fault while it sends, its end, and the verdict on both logs."""

import os
import random
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from tests.faults.cases import Fault, Mode
from tests.faults.checks import Observed
from tests.faults.plans import Plan
from tests.faults.runs import Form, Run, relays_environment
from tests.faults.servers import Redis, Referee, running
from tests.faults.templates import Templates, people


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table."""

    fault: str
    subject: str
    mode: str
    recipients: int
    accepted: int
    doubled: int
    lost: int
    in_doubt: int
    bound: int
    seconds: float
    violations: Sequence[str] = ()

    @property
    def held(self) -> bool:
        return not self.violations


def perform(
    fault: Fault,
    mode: Mode,
    seed: int,
    form: Form,
    templates: Templates,
    *,
    keep: Path | None = None,
) -> Row:
    """Run one fault in one mode and judge it; the logs of one that does not hold go to `keep`."""
    started = time.monotonic()
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="newsletter-fault-", dir=in_memory())
            )
        )
        folder.chmod(0o755)
        run = _prepare(fault, mode, seed, form, templates, folder, stack)
        try:
            fault.inject(run)
            run.wait_until_ended()
        except Exception as error:  # noqa: BLE001 - one run that goes wrong ends no other
            run.broken.append(f"I9 {type(error).__name__}: {str(error)[:300]}")
        observed = _observed(run)
        violations = (*run.broken, *observed.violations())
        if keep and violations:
            _keep(run, observed, keep / f"{fault.name.replace('/', ' ')} ({mode})")
    return Row(
        fault.name,
        fault.subject,
        mode,
        len(run.recipients),
        len(observed.accepted),
        len(observed.doubled()),
        len(observed.lost()),
        observed.in_doubt(),
        observed.bound,
        time.monotonic() - started,
        violations,
    )


def _keep(run: Run, observed: Observed, place: Path) -> None:
    """Everything that says what happened: logs, the embedded database, the servers' own logs."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "ledger.txt").write_text("\n".join(map(str, observed.ledger)))
    for file in (*run.folder.glob("*/log"), *run.folder.glob("*/events.jsonl")):
        shutil.copy(file, place / f"{file.parent.name}-{file.name}")
    shutil.copytree(run.installation.folder, place / "installation", dirs_exist_ok=True)


def _observed(run: Run) -> Observed:
    try:
        return run.observed()
    except SQLAlchemyError as error:
        run.broken.append(f"I2 the ledger cannot be read: {type(error).__name__}")
        return Observed(run.recipients, (), ())


def _prepare(
    fault: Fault,
    mode: Mode,
    seed: int,
    form: Form,
    templates: Templates,
    folder: Path,
    stack: ExitStack,
) -> Run:
    number = min(fault.recipients or form.recipients, form.recipients)
    pace = number / (fault.sending_seconds or form.sending_seconds)
    referee = Referee(folder / "referee", plan=Plan(seed=seed, per_second=pace))
    stack.enter_context(running(referee))
    here, redis, postgres, database = folder / "installation", None, None, ""
    if mode is Mode.EMBEDDED:
        installation = templates.embedded(number, here)
    else:
        installation, postgres, database = templates.full(number, here)
        redis = Redis(folder / "redis")
        stack.enter_context(running(redis))
        installation.env["NEWSLETTER_BROKER__URL"] = redis.url
    installation.env.update(relays_environment([referee]))
    return Run(
        installation,
        mode,
        form,
        people(number),
        random.Random(f"{seed} {fault.name} {mode}"),
        stack,
        folder,
        templates,
        [referee],
        pace,
        redis,
        postgres,
        database,
    )


def in_memory() -> Path | None:
    """Where processes die and the kernel does not, waiting for a disk proves nothing."""
    memory = Path("/dev/shm")
    return memory if os.access(memory, os.W_OK) else None
