"""What the pages take from others is what its lock file names."""

import hashlib
import json
from pathlib import Path

ROOT = Path(__file__).parents[2]
VENDORING = ROOT / "vendoring"
SERVED = ROOT / "newsletter" / "web" / "static" / "vendor"
WRITTEN_DOWN: dict[str, str] = json.loads((VENDORING / "files.json").read_text())


def test_every_file_is_as_it_was_made() -> None:
    found = {path: hashlib.sha256((ROOT / path).read_bytes()).hexdigest() for path in WRITTEN_DOWN}
    assert found == WRITTEN_DOWN, "after a change in vendoring/: make vendor"


def test_no_file_is_served_that_was_not_written_down() -> None:
    served = {str(path.relative_to(ROOT)) for path in SERVED.rglob("*") if path.is_file()}
    assert served == {path for path in WRITTEN_DOWN if path.startswith("newsletter/")}


def test_the_licence_of_every_package_stands_beside_it_in_its_locked_version() -> None:
    locked = json.loads((VENDORING / "package-lock.json").read_text())["packages"]
    for folder in SERVED.iterdir():
        blocks = (folder / "LICENSES.txt").read_text().split("\n\n\n")
        heads = [block.strip().splitlines()[0].split() for block in blocks]
        assert heads
        for name, version, *_ in heads:
            assert locked[f"node_modules/{name}"]["version"] == version
