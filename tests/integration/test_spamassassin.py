"""What a spam filter with its default rules and no network says to our mails: nothing."""

import re
import subprocess
from pathlib import Path

import pytest

from newsletter.cli.issues import render_to
from tests import factories
from tests.conftest import need
from tests.servers import packages

ISSUES = sorted((factories.EXAMPLES / "issues").iterdir())
RULE = re.compile(r"^\s*(-?\d+\.\d+)\s+([A-Z][A-Z0-9_]+)\s", re.MULTILINE)
TOTAL = re.compile(r"Content analysis details:\s+\((-?[\d.]+) points")


def judged(issue: Path, folder: Path) -> tuple[float, dict[str, float]]:
    """The total, and every rule that hit with its points."""
    need(packages.SPAMASSASSIN)
    render_to(issue, folder, factories.settings())
    said = subprocess.run(
        [str(packages.SPAMASSASSIN.path()), "-L", "-t"],
        input=(folder / "message.eml").read_bytes(),
        capture_output=True,
        check=True,
    ).stdout.decode(errors="replace")
    total = TOTAL.search(said)
    assert total, said
    return float(total[1]), {name: float(points) for points, name in RULE.findall(said)}


@pytest.mark.parametrize("issue", ISSUES, ids=lambda path: path.name)
def test_an_example_costs_nothing(issue: Path, tmp_path: Path) -> None:
    total, rules = judged(issue, tmp_path)
    assert total <= 0, rules
    assert {name: points for name, points in rules.items() if points > 0.01} == {}


def test_the_shared_sample_costs_nothing(shared: Path, tmp_path: Path) -> None:
    total, rules = judged(shared / "samples" / "engineering-reads-2026-06-17.txt", tmp_path)
    assert total <= 0, rules
    assert {name: points for name, points in rules.items() if points > 0.01} == {}
