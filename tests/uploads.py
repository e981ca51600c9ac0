"""Files of people as the desk takes them, and the work on them without a process of its own."""

from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from newsletter.core.db import Sessions
from newsletter.core.erasure_key import ErasureKey
from subscribers.imports.runs import forgetting, moves, running
from subscribers.imports.runs.counts import Counts
from subscribers.imports.runs.looking import look
from subscribers.imports.runs.models import ImportPart, ImportRun, ImportState
from subscribers.imports.runs.moves import Wishes
from subscribers.imports.runs.uploading import Upload, upload
from tests import factories
from tests.erased import KEY

PLAIN = Wishes()


@dataclass
class Uploads:
    """Uploads to one list, and whoever works on them."""

    sessions: Sessions
    folder: Path
    list_id: int
    erased: ErasureKey | None = None
    ended: list[str] = field(default_factory=list)

    def send(self, text: str | bytes, name: str = "people.csv") -> int:
        file = self.folder / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return upload(self.sessions, Upload(file, look(file), self.list_id, "Ada"))

    def check(self, run_id: int, wishes: Wishes = PLAIN) -> ImportRun:
        with self.sessions.writing() as session:
            moves.check(session, run_id, wishes)
        self.work()
        return self.run(run_id)

    def start(self, run_id: int) -> ImportRun:
        with self.sessions.writing() as session:
            moves.start(session, run_id)
        self.work()
        return self.run(run_id)

    def whole(self, text: str | bytes, wishes: Wishes = PLAIN, name: str = "people.csv") -> int:
        run_id = self.send(text, name)
        assert self.check(run_id, wishes).state is ImportState.CHECKED
        assert self.start(run_id).state is ImportState.DONE
        return run_id

    def shop(self) -> running.Workshop:
        return running.Workshop(self.sessions, self.erased, self._record)

    def work(self) -> None:
        """Until nothing waits."""
        forgetting.clear(self.sessions)
        while (run_id := self._due()) is not None:
            running.work_on(self.shop(), run_id)
        forgetting.clear(self.sessions)

    def run(self, run_id: int) -> ImportRun:
        with self.sessions.reading() as session:
            return session.get_one(ImportRun, run_id)

    def counts(self, run_id: int) -> Counts:
        return Counts.from_json(self.run(run_id).counts)

    def parts(self) -> int:
        with self.sessions.reading() as session:
            return session.scalar(select(func.count()).select_from(ImportPart)) or 0

    def _due(self) -> int | None:
        with self.sessions.reading() as session:
            return running.next_due(session)

    def _record(self, session: Session, run: ImportRun) -> None:
        del session
        self.ended.append(run.state.value)


def uploads_to_a_list(sessions: Sessions, folder: Path) -> Uploads:
    """To the only list of the only newsletter, where people can be erased."""
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        list_id = factories.a_list(session, issue=issue).id
    return Uploads(sessions, folder, list_id, KEY)
