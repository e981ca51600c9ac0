"""The short form of the fault suite: a handful of kinds in each mode, judged like the long form."""

from collections.abc import Iterator

import pytest

from tests.conftest import need
from tests.faults.cases import Fault, Mode, all_faults, chosen
from tests.faults.harness import in_memory, perform
from tests.faults.runs import SHORT
from tests.faults.templates import Templates
from tests.servers import packages

_CHOSEN = chosen(all_faults(), "short")


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Templates]:
    """In memory where that can be had, and where PostgreSQL's own user may enter."""
    with Templates.temporary(in_memory()) as made:
        yield made


@pytest.mark.faults
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("fault", "mode"), _CHOSEN, ids=[f"{fault.name} ({mode})" for fault, mode in _CHOSEN]
)
def test_nobody_is_mailed_twice_and_nobody_is_left_out(
    templates: Templates, fault: Fault, mode: Mode
) -> None:
    if mode is Mode.FULL:
        need(packages.POSTGRES, packages.REDIS, packages.PG_DUMP)
    row = perform(fault, mode, seed=1, form=SHORT, templates=templates)
    assert row.violations == ()
    assert (row.doubled, row.lost) == (0, 0)
    assert row.in_doubt <= row.bound
