"""The process that reads a file of people for another: told what on its input, told in blocks.

Started by `subscribers.imports.reading`; ends with the file, or when nobody listens any more.
"""

import contextlib
import pickle
import signal
import sys

from newsletter.core.errors import InputError
from subscribers.files.people_files import opened
from subscribers.imports.garbage import seldom_collected
from subscribers.imports.reading import Job


def main() -> None:
    """Blocks, then None; an InputError in the place of what cannot be read."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us says when it is enough
    job: Job = pickle.load(sys.stdin.buffer)  # noqa: S301 - by the process that started us
    with contextlib.suppress(BrokenPipeError), seldom_collected():
        _read(job)


def _read(job: Job) -> None:
    try:
        with opened(job.path, job.making.reading) as people:
            for block in job.blocks(people, job.rows_ahead):
                _say(block)
    except InputError as problem:
        _say(problem)
    else:
        _say(None)


def _say(what: object) -> None:
    pickle.dump(what, sys.stdout.buffer, protocol=pickle.HIGHEST_PROTOCOL)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
