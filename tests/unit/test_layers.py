"""The one module that import-linter cannot see, because it is no package."""

import ast
from pathlib import Path

WORKER = Path(__file__).parents[2] / "worker.py"


def test_the_celery_entry_knows_the_jobs_alone() -> None:
    tree = ast.parse(WORKER.read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert imported == ["newsletter.jobs.tasks"]
