"""Files of people at a furnished installation: one is in, one waits for a yes, one is odd."""

import tempfile
from pathlib import Path

from newsletter.core.db import Sessions
from newsletter.core.erasure_key import ErasureKey
from subscribers.imports.runs import moves, running
from subscribers.imports.runs.looking import look
from subscribers.imports.runs.moves import Wishes
from subscribers.imports.runs.running import Workshop
from subscribers.imports.runs.uploading import Upload, upload
from tests.furnished.people import days_ago

_ACTOR = "user 1: grace@news.example.org"
_FILES = {
    "board-2026.csv": "email,name\nchair@example.org,Charlotte Chair\n"
    "treasurer@example.com,Theo Treasurer\nsecretary@example,Sal\n",
    "fair.csv": "email,name,company\nnew.reader@example.org,Nora New,Acme\n"
    "ada.byron@example.org,Ada Byron,\nnot an address,Nobody,\nold.friend@example.com,Otto Old,\n",
    "visitors.csv": "Kontakt;Vorname;Firma\nlena@example.org;Lena;Acme\nmax@example.com;Max;\n",
}


def imports(sessions: Sessions, list_id: int, board_id: int, erased: ErasureKey) -> list[int]:
    """Ids of: waiting for a yes, done, waiting for its columns."""
    shop = Workshop(sessions, erased, lambda *_: None, lambda: False)
    with days_ago(20), tempfile.TemporaryDirectory() as folder:
        done = _uploaded(sessions, Path(folder), "board-2026.csv", board_id)
        _checked(shop, done)
        with sessions.writing() as session:
            moves.start(session, done)
        running.work_on(shop, done)
    with days_ago(0.1), tempfile.TemporaryDirectory() as folder:
        waiting = _uploaded(sessions, Path(folder), "fair.csv", list_id)
        _checked(shop, waiting)
        odd = _uploaded(sessions, Path(folder), "visitors.csv", list_id)
    return [waiting, done, odd]


def _uploaded(sessions: Sessions, folder: Path, name: str, list_id: int) -> int:
    file = folder / name
    file.write_text(_FILES[name])
    return upload(sessions, Upload(file, look(file), list_id, _ACTOR))


def _checked(shop: Workshop, run_id: int) -> None:
    with shop.sessions.writing() as session:
        moves.check(session, run_id, Wishes())
    running.work_on(shop, run_id)
