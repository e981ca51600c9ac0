"""A list and a folder that files of people are imported from."""

from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.core.db import Sessions
from subscribers.imports.importing import import_file
from subscribers.imports.options import ImportOptions, ImportReport
from subscribers.models import (
    Subscriber,
    Subscription,
)
from tests import factories


class Desk:
    """Imports into one list, in its own folder."""

    def __init__(self, sessions: Sessions, folder: Path) -> None:
        self.sessions = sessions
        self.folder = folder
        with sessions.writing() as session:
            self.list_id = factories.a_list(session).id

    def run(self, text: str | bytes, name: str = "people.csv", **options: object) -> ImportReport:
        file = self.folder / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return import_file(self.sessions, file, self.find_list, ImportOptions(**options))  # type: ignore[arg-type]

    def find_list(self, session: Session) -> int:
        del session
        return self.list_id

    def standing(self) -> dict[str, tuple[str, str]]:
        """Address key -> (status, tracking consent)."""
        with self.sessions.reading() as session:
            rows = session.execute(
                select(Subscriber.address_key, Subscription.status, Subscription.tracking_consent)
                .join(Subscription)
                .order_by(Subscriber.id)
            )
            return {key: (str(status), str(consent)) for key, status, consent in rows}
