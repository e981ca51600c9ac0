"""What people mistype, misplace and misconfigure ends in one sentence, never in a traceback."""

import json
import os
import re
import socket
import sys
import tomllib
from pathlib import Path

import pytest

from newsletter.cli.app import main
from tests.acceptance.installation import ISSUE

INIT = "init --name N --address a@example.org --postal-address P --base-url http://127.0.0.1:8000"
RELAY = '[{"name": "r", "url": "smtp://127.0.0.1:1?tls=none"}]'
SECRET = "canary-9f8e7d6c5b4a-canary-9f8e7d6c"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with an issue, people, and some things in the way."""
    for name in [name for name in os.environ if name.startswith("NEWSLETTER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "issue.md").write_text(ISSUE)
    (tmp_path / "people.csv").write_text("email\nada@example.org\nnope\n")
    (tmp_path / "broken.csv").write_text("name\nAda\n")
    (tmp_path / "two-lines.txt").write_text("Digest — 2026-06-17\nno empty line\n")
    (tmp_path / "text.db").write_text("this is no database" * 100)
    (tmp_path / "folder").mkdir()
    return tmp_path


class Terminal:
    """Runs the command in this process."""

    def __init__(self, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> None:
        self._patch = patch
        self._captured = captured

    def run(self, *words: str) -> str:
        """The exit code, and what was said."""
        self._patch.setattr(sys, "argv", ["newsletter", *words])
        self._captured.readouterr()
        code: object = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        said = self._captured.readouterr()
        return f"{code or 0} {said.out}{said.err}"


@pytest.fixture
def terminal(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Terminal:
    del desk
    return Terminal(monkeypatch, capsys)


def expect(desk: Path, said: str, expected: str) -> None:
    assert re.match(expected, said), said
    assert SECRET not in said
    left = {file.name for file in desk.iterdir()} & {"newsletter.toml", "out"}
    assert left == ({"newsletter.toml"} if "Wrote newsletter.toml" in said else set())


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("subscribers import people.csv --list New --dry-run", "0 Would make list 'new'"),
        ("subscribers import broken.csv --list New", "1 error: broken.csv:1: expected a column"),
        ("subscribers import people.csv --list New --bad-rows people.csv", "1 .*is the file to"),
        ("subscribers import people.csv --list New --bad-rows folder", "1 error: folder: expec"),
        ("subscribers import people.csv --list ---", "1 .*has no letter or digit"),
        ("subscribers import /dev/null --list New", "1 .*expected a header"),
        ("demo --dir issue.md", "1 error: issue.md: Not a directory"),
        ("demo --dir /proc/x", "1 error: /proc/x: "),
        ("issues render issue.md --out people.csv", "1 error: people.csv: File exists"),
        ("issues render issue.md --out /proc/x", "1 error: /proc/x: "),
        ("issues render issue.md --out out --dry-run", "(?s)0 .*Would write"),
        ("issues new nowhere/x.md", "1 error: nowhere/x.md: No such file"),
        ("issues check two-lines.txt", "1 .*followed by an empty line"),
        ("subscribers export --list readers --out folder", "1 error: .*folder: expected a file"),
        ("subscribers export --list readers --out no/x.csv", "1 error: no/x.csv: cannot be writ"),
        ("subscribers add a@example.org --list readers --name LONG", "1 error: name: expected"),
        ("lists create LONG", "1 error: name: expected one line of at most 200"),
        ("send LONG", "1 error: x+…: no such file: File name too long"),
        ("send nofile.md", "1 error: nofile.md: no such file"),
        ("send two-lines.txt --dry-run", "1 .*followed by an empty line"),
        ("send issue.md --list readers --dry-run", "(?s)2 .*no sender address"),
        ("send issue.md --at 0001-01-01", "1 error: --at: expected"),
        ("send issue.md --at 9999-12-31", "1 error: --at: expected"),
        ("broadcasts show 99999999999999999999", "2 .*"),
        ("broadcasts watch 2147483648 --json", "2 .*"),
        ("broadcasts watch 7 --json", "1 error: there is no broadcast"),
        ("report 99999999999999999999", "2 .*"),
        ("serve --port 99999", "2 .*"),
        (f"{INIT} --base-url foo", "2 .*site.base_url"),
        (f"{INIT} --relay smtp://u:SECRET@h:xx", "2 error: --relay: expected smtp"),
        (f"{INIT} --relay nonsense", "2 error: --relay: expected smtp"),
        (f"{INIT} --name \udcff", "2 error: arguments: expected UTF-8"),
        ("subscribers add \udce9@example.org --list a", "2 error: arguments: expected UTF-8"),
        ("segments count --list a \udcff", "2 error: arguments: expected UTF-8"),
    ],
)
def test_no_traceback_for_a_mistake_on_the_command_line(
    desk: Path, terminal: Terminal, command: str, expected: str
) -> None:
    if "readers" in command:
        terminal.run("lists", "create", "Readers")
    words = command.replace("LONG", "x" * 5000).replace("SECRET", SECRET).split()
    expect(desk, terminal.run(*words), expected)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("RELAYS", "garbage", "2 error: NEWSLETTER_RELAYS: expected JSON, such as "),
        ("RELAYS", "[" * 100_000, "2 error: NEWSLETTER_RELAYS: expected JSON"),
        ("RELAYS", '{"a": 1}', r"2 .*relays \(NEWSLETTER_RELAYS\): Input should be"),
        ("RELAYS", json.dumps(2 * json.loads(RELAY)), "2 .*different names, found 'r' twice"),
        ("SITE__TRUSTED_PROXIES", "10.0.0.0/8, ::1", "0 No list yet"),
        ("SITE__TRUSTED_PROXIES", "x", r"2 .*\.0 \(NEWSLETTER_SITE__TRUSTED_PROXIES\)"),
        ("SITE__TRUSTED_PROXIES", "[x", "2 error: NEWSLETTER_SITE__TRUSTED_PROXIES: expected JS"),
        ("SIET__PORT", "1", "2 error: NEWSLETTER_SIET__PORT: there is no such setting"),
        ("SITE_PORT", "1", "2 error: NEWSLETTER_SITE_PORT: there is no such setting"),
        ("SITE__PROT", "1", r"2 .*site.prot \(NEWSLETTER_SITE__PROT\): Extra"),
        ("SITE", "x", r"2 .*site \(NEWSLETTER_SITE\): "),
        ("DELIVERY__STALE_AFTER_HOURS", "1e999", "2 .*stale_after_hours"),
        ("DELIVERY__RETRY_AFTER_SECONDS", "1,99999999999", "2 .*retry_after_seconds.1"),
        ("DATABASE__URL", "mysql://u:SECRET@h/x", "2 .*expected sqlite.*, found mysql"),
        ("DATABASE__URL", "postgresql://u:SECRET@h:x/", "2 .*database.url .*expected sqlite"),
        ("DATABASE__URL", "nonsense", "2 .*expected sqlite"),
        ("DATABASE__URL", "sqlite:///text.db", "2 error: database: file is not a database"),
        ("DATABASE__URL", "sqlite:///folder", "2 error: database: "),
        ("DATABASE__URL", "sqlite:////proc/x/y.db", "[12] error: .*/proc/x"),
        ("DATABASE__URL", "sqlite:///issue.md/x.db", "[12] error: .*issue.md"),
        ("DATABASE__URL", "postgresql://u:SECRET@127.0.0.1:CLOSED/x", "2 error: database: .*refus"),
        ("DATABASE__URL", "postgresql://u:SECRET@nowhere.invalid/x", "2 error: database: "),
        ("DATABASE__URL", "postgresql://u:SECRET@h/x?nonsense=1", "2 error: database: "),
    ],
)
@pytest.mark.parametrize("command", ["lists list", "db check"])
def test_no_traceback_for_a_mistake_in_the_environment(
    desk: Path,
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    expected: str,
    command: str,
) -> None:
    if command == "db check" and expected.startswith("0"):
        return
    if value.startswith("postgresql:") and ":x/" not in value:
        monkeypatch.setenv("NEWSLETTER_SITE__SECRET_KEY", SECRET)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = str(closed.getsockname()[1])
        shown = value.replace("SECRET", SECRET).replace("CLOSED", port)
        monkeypatch.setenv(f"NEWSLETTER_{variable}", shown)
        expect(desk, terminal.run(*command.split()), expected)


def test_what_init_writes_can_be_read(desk: Path, terminal: Terminal) -> None:
    said = terminal.run(*INIT.split(), "--name", 'A\x7f"B\\', "--relay", "smtp://h")
    expect(desk, said, "0 Wrote newsletter.toml")
    assert tomllib.loads((desk / "newsletter.toml").read_text())["sender"]["name"] == 'A\x7f"B\\'
    assert terminal.run("lists", "list").startswith("0 ")


def test_data_comes_out_as_it_is(desk: Path, terminal: Terminal) -> None:
    text = ISSUE.replace("First summary.", "A\ttab, :warning: and [bold]marks[/bold].")
    (desk / "issue.md").write_text(text)
    terminal.run("issues", "import", "issue.md")
    assert terminal.run("issues", "show", "2026-06-17") == f"0 {text}"
    said = terminal.run("issues", "show", "2026-06-17", "--json")
    assert json.loads(said[2:])["source"] == text
    terminal.run("lists", "create", "A [bold]:warning: list")
    assert "A [bold]:warning: list" in terminal.run("lists", "list")


def test_findings_are_said_once_with_the_lines_they_are_on(desk: Path, terminal: Terminal) -> None:
    line = "[a](ftp://x) [b](ftp://x) [c](ftp://y)\n\n"
    (desk / "issue.md").write_text(ISSUE.replace("First summary.", line * 4))
    said = terminal.run("issues", "check", "issue.md")
    assert said.count("ftp://x") == said.count("ftp://y") == 1
    assert said.count("(also on line 15, 17, 19)") == 2


@pytest.mark.parametrize(
    "command",
    [
        "issues check issue.md",
        "issues render issue.md --out out",
        "send issue.md --list a --dry-run",
    ],
)
def test_entries_without_a_link_are_one_line_of_every_command(
    desk: Path, terminal: Terminal, command: str
) -> None:
    terminal.run(*INIT.split())
    terminal.run("lists", "create", "a")
    (desk / "issue.md").write_text(re.sub(r"\[(One|Two)\]\(.*\)", r"\1", ISSUE))
    said = terminal.run(*command.split())
    (line,) = [line for line in said.splitlines() if "has no link" in line]
    assert re.fullmatch(r".*issue\.md:12: warning entry-without-link: .* \(also on line 15\)", line)


def test_adding_somebody_says_what_is_so(
    desk: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(address: str, *options: str) -> str:
        return terminal.run("subscribers", "add", address, "--list", "readers", *options)

    (desk / "asked.csv").write_text("email\nasked@example.org\n")
    terminal.run("subscribers", "import", "asked.csv", "--list", "Readers", "--unconfirmed")
    terminal.run("issues", "import", "issue.md")
    monkeypatch.setenv("NEWSLETTER_SENDER__ADDRESS", "editor@example.org")
    assert "has to confirm 'readers' still; the mailbox had enough" in add("asked@example.org")
    assert "is on the list 'readers'." in add("ada@example.org")
    assert "is on the list 'readers'." in add("ada@example.org", "--confirm")
    assert "would be asked to confirm" in add("bob@example.org", "--confirm", "--dry-run")
    terminal.run("suppressions", "add", "ada@example.org")
    assert "suppressed and gets no issue" in add("ada@example.org")
