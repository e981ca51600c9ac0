"""The documents tell the same story as the code."""

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from newsletter.cli.app import app
from newsletter.cli.on_demand import PURPOSES
from newsletter.core.config import Settings
from newsletter.core.sections import RelaySettings
from newsletter.rendering.placeholders import Placeholders
from newsletter.rendering.view import view
from newsletter.web.desk.people import words
from subscribers.models import ConsentChange, ConsentMethod
from tests import factories

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
CHECKING = (
    *("rendering/preflight", "rendering/markdown", "rendering/placeholders"),
    "broadcasts/checking",
    "web/desk/issues/unseen_pictures",
)
KEBAB = r"[a-z]+(?:-[a-z]+)+"
PACKAGES = ("newsletter", "subscribers")
EVENT = re.compile(r"""(?:^ +log\.[a-z]+\(\s*|\bfailed_event=)["']([^"']+)["']""", re.MULTILINE)
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "templates" / "email" / "README.md",
]


def commands(command: Any = None, name: str = "newsletter") -> Iterator[tuple[str, Any]]:
    command = command or typer.main.get_command(app)
    for word, below in getattr(command, "commands", {}).items():
        if hasattr(below, "commands"):
            yield from commands(below, f"{name} {word}")
        else:
            yield f"{name} {word}", below


def test_the_command_reference_is_what_the_commands_say(tmp_path: Path) -> None:
    made = tmp_path / "commands.md"
    program = Path(sys.executable).with_name("typer")
    recipe = re.findall(r"^docs:.*\n\t@\$\(BIN\)/typer (.+) \S+$", MAKEFILE, re.MULTILINE)[0]
    subprocess.run([program, *recipe.split(), made], check=True, capture_output=True, cwd=ROOT)
    assert (ROOT / "docs" / "commands.md").read_text() == made.read_text(), "run `make docs`"


def test_every_command_and_option_says_what_it_is() -> None:
    found = dict(commands())
    assert len(found) >= 30
    for name, command in found.items():
        assert command.help, name
        for parameter in command.params:
            if parameter.name != "help":
                assert parameter.help, f"{name} {parameter.opts[0]}"
                assert not re.search(r"\[[a-z]", parameter.help), "brackets are markup and vanish"


def test_the_list_of_commands_says_what_each_says_of_itself() -> None:
    said = {name: one.help for name, one in typer.main.get_group(app).commands.items()}
    assert said == PURPOSES
    listed = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).stdout
    assert [name for name, purpose in PURPOSES.items() if purpose not in listed] == []


def test_listing_the_commands_imports_none_of_them() -> None:
    asked = "import sys; from newsletter.cli.app import main; sys.argv[1:] = ['--help']; main()"
    heavy = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", asked],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    assert "newsletter.cli.on_demand" in heavy
    assert re.findall(r"\b(?:sqlalchemy|pydantic|newsletter\.cli\.issues)\n", heavy) == []


@cache
def log_events() -> set[str]:
    code = [file.read_text() for folder in PACKAGES for file in (ROOT / folder).rglob("*.py")]
    return {name for text in code for name in EVENT.findall(text)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_in_a_document_exists(document: Path) -> None:
    known = [name.split()[1:] for name, _ in commands()]
    groups = {words[0] for words in known if len(words) > 1}
    for line in re.findall(r"newsletter ((?:[a-z-]+ ?)+)", _code(document)):
        words = line.split()
        if words and (words[0] in groups or [words[0]] in known):
            length = 2 if words[0] in groups else 1
            assert len(words) < length or words[:length] in known, f"{document.name}: {line}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_in_a_document_leads_somewhere(document: Path) -> None:
    prose = re.sub(r"```.*?```|`[^`\n]+`", "", document.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)|src=\"([^\"]+)\"", prose):
        path = "".join(target)
        if not path.startswith(("http://", "https://", "mailto:")):
            assert (document.parent / path).exists(), f"{document.name}: {path}"


def test_every_setting_is_explained() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    for section, field in Settings.model_fields.items():
        below = getattr(field.annotation, "model_fields", {})
        for key in [f"{section}.{name}" for name in below] or [section]:
            assert f"`{key}`" in text, key
    relays = text[text.index("## Relays") :]
    for name in RelaySettings.model_fields:
        assert f"| `{name}` |" in relays, name


def test_every_template_variable_is_explained() -> None:
    text = (ROOT / "templates" / "email" / "README.md").read_text()
    variables = view(factories.source(), factories.identity(), "Subject", Placeholders())
    for name in variables:
        assert f"`{name}`" in text, name


def test_every_preflight_code_is_explained_and_no_other() -> None:
    text = (ROOT / "docs" / "issue-files.md").read_text()
    table = text[text.index("| code |") :]
    checks = [ROOT / "newsletter" / f"{name}.py" for name in CHECKING]
    used = {code for file in checks for code in re.findall(rf'"({KEBAB})"', file.read_text())}
    assert set(re.findall(rf"`({KEBAB})`", table)) == used


def test_every_log_event_is_explained_and_no_other() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    explained = re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", text, re.MULTILINE)
    assert sorted(explained) == sorted(log_events())


def test_every_way_in_which_a_subscription_changes_is_named() -> None:
    sentence = (ROOT / "docs" / "subscribers.md").read_text().partition("a line of evidence: ")[2]
    named = re.findall(r"`([a-z-]+)`", sentence.partition(")")[0])
    assert set(named) == set(ConsentMethod) == set(words.methods())
    assert set(words.changes()) == set(ConsentChange)


def test_every_decision_is_in_the_index_in_order() -> None:
    folder = ROOT / "docs" / "decisions"
    index = re.findall(
        r"^\| \[(\d{4})\]\((\S+)\)", (folder / "README.md").read_text(), re.MULTILINE
    )
    pages = sorted(page.name for page in folder.glob("[0-9]*.md"))
    assert [name for _, name in index] == pages
    assert [number for number, _ in index] == [f"{n:04}" for n in range(1, len(pages) + 1)]
    for name in pages:
        assert (folder / name).read_text().startswith(f"# {name[:4]}: "), name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_setting_and_target_in_a_document_exists(document: Path) -> None:
    text = _code(document)
    folders = "|".join([*PACKAGES, "tests", "benchmarks", "docs", "templates"])
    for path in re.findall(rf"(?<![\w./-])(?:{folders})/[\w/-]+\.(?:py|md|html|mjml)\b", text):
        assert (ROOT / path).exists(), path
    for module in re.findall(r"python -m ((?:tests|benchmarks)[\w.]*)", text):
        base = ROOT.joinpath(*module.split("."))
        assert base.with_suffix(".py").exists() or (base / "__main__.py").exists(), module
    for target in re.findall(r"^(?:make|.*[`&] ?make) ([a-z-]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target
    for section, name in re.findall(r"(?<![\w./@-])([a-z]+)\.([a-z_]+)\b(?![./(@-])", text):
        if f"{section}.{name}" not in log_events():
            field = Settings.model_fields.get(section)
            known = getattr(field.annotation, "model_fields", None) if field else None
            assert known is None or name in known, f"{section}.{name}"


def test_the_two_commands_are_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    assert "make demo" in text
    assert "make test" in text


def test_every_make_target_is_explained() -> None:
    for target in re.findall(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)[0].split():
        assert re.search(rf"^{target}:.*## \S", MAKEFILE, re.MULTILINE), target


def _code(document: Path) -> str:
    """Everything in code blocks and code spans."""
    text = document.read_text()
    blocks = re.findall(r"```.*?```", text, re.DOTALL)
    return "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", text)])
