"""Signing as docs/dkim.md says: make keys, paste what is printed, send, verify at the receiver."""

from pathlib import Path

from tests.acceptance.installation import ISSUE, Installation
from tests.dkim_keys import judged_by_opendkim
from tests.smtp_server import SmtpServer


def test_from_keygen_to_a_mail_that_verifies(tmp_path: Path) -> None:
    here = Installation(tmp_path)
    (tmp_path / "issue.md").write_text(ISSUE)
    with SmtpServer() as server:
        answers = ("--name", "Field Notes", "--address", "editor@example.org")
        relay = f"smtp://127.0.0.1:{server.port}?tls=none"
        here.run("init", *answers, "--postal-address", "1 Street", "--relay", relay)
        said = here.run("dkim", "keygen", "--domain", "example.org", "--selector", "2026a")
        with (tmp_path / "newsletter.toml").open("a") as file:
            file.write("\n" + said[said.index("[[dkim]]") :])
        here.run("lists", "create", "Readers")
        here.run("subscribers", "add", "ada@example.org", "--list", "readers")
        here.run("send", "issue.md", "--test", "editor@example.org")
        here.run("send", "issue.md")
    records = {entry["name"]: entry["value"] for entry in here.json("dkim", "show")}
    assert [to for to, _ in server.accepted] == ["editor@example.org", "ada@example.org"]
    for _, wire in server.accepted:
        judged = judged_by_opendkim(wire, records, tmp_path)
        assert judged == ["pass rsa-sha256", "pass ed25519-sha256"]


def test_a_lost_key_file_refuses_to_send_and_is_named(tmp_path: Path) -> None:
    here = Installation(tmp_path)
    (tmp_path / "issue.md").write_text(ISSUE)
    (tmp_path / "newsletter.toml").write_text(
        '[sender]\naddress = "editor@example.org"\npostal_address = "1 Street"\n'
        '[[relays]]\nname = "main"\nurl = "smtp://127.0.0.1:9?tls=none"\n'
        '[[dkim]]\ndomain = "example.org"\nselector = "a"\nkey_file = "lost.pem"\n'
    )
    for command in (["send", "issue.md"], ["worker"], ["serve"]):
        assert "dkim.0.key_file (lost.pem): cannot be read" in here.run(*command, expect=2)
