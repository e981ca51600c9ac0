"""Settings: from nothing, a file, the environment; wrong ones are named, secrets never shown."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from newsletter.cli.app import app
from newsletter.core.config import load_settings
from newsletter.core.db import connect
from newsletter.core.errors import ConfigurationError
from newsletter.core.runtime import open_runtime

CANARY = "canary-9f8e7d6c5b4a-canary-9f8e7d6c"
POSTGRESQL = f"postgresql://newsletter:{CANARY}@db.example.org/newsletter"


def write(folder: Path, text: str) -> Path:
    file = folder / "newsletter.toml"
    file.write_text(text)
    return file


def test_nothing_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert settings.embedded
    assert settings.database.sqlite_path == Path("var/newsletter.db")
    assert settings.site.public_url == "http://127.0.0.1:8000"


def test_the_environment_wins_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, '[site]\nbase_url = "https://file.example.org"\nport = 8001\n')
    monkeypatch.setenv("NEWSLETTER_SITE__BASE_URL", "https://env.example.org/")
    settings = load_settings(file)
    assert (settings.site.public_url, settings.site.port) == ("https://env.example.org", 8001)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[site\n", "newsletter.toml: expected TOML"),
        ("[site]\nport = 99999\n", "site.port"),
        ("[site]\nportt = 1\n", "site.portt: Extra inputs"),
        ('[site]\nbase_url = "ftp://x"\n', "site.base_url"),
        ('[site]\nsecret_key = "short"\n', "site.secret_key: .*32 characters"),
        ('[site]\nsecret_keys_old = ["short"]\n', "site.secret_keys_old: .*32 characters"),
        ('[[relays]]\nname = "A b"\nurl = "x"\n', r"relays\.0\.name"),
        ('[[relays]]\nname = "a"\nurl = "x"\nrate = 0\n', r"relays\.0\.rate"),
        ('[[relays]]\nname = "a"\nurl = "x"\nburst = 9\n', "rate is not"),
        ("[delivery]\nretry_after_seconds = [0]\n", "delivery.retry_after_seconds"),
        ('[broker]\nurl = "redis://x"\n', "several workers need PostgreSQL"),
        ('[log]\nlevel = "loud"\n', "log.level"),
        ('[bounces]\nmailbox = "http://x"\n', r"bounces\.mailbox: .*imaps://USER"),
        ('[bounces]\ndomain = "Example.org"\n', r"bounces\.domain"),
        ('[bounces]\nprefix = "news"\n', r"bounces\.prefix"),
        ('[bounces]\nprefix = "seventeen-letters+"\n', r"bounces\.prefix"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        load_settings(write(tmp_path, text))


@pytest.mark.parametrize("section", ["relays", "dkim"])
def test_a_variable_that_is_not_json_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, section: str
) -> None:
    monkeypatch.setenv(f"NEWSLETTER_{section.upper()}", CANARY)
    with pytest.raises(
        ConfigurationError, match=f"NEWSLETTER_{section.upper()}: expected JSON"
    ) as raised:
        load_settings()
    assert CANARY not in str(raised.value)


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml: cannot be read"):
        load_settings(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    "text",
    [
        f'[database]\nurl = "{POSTGRESQL}"\n[site]\nsecret_key = "{CANARY}"\nport = "x"\n',
        f'[broker]\nurl = "redis://:{CANARY}@x"\n',
        f'[[relays]]\nname = "main"\nurl = ["{CANARY}"]\n',
    ],
)
def test_an_error_shows_no_secret(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_settings(write(tmp_path, text))
    assert CANARY not in str(raised.value)


def test_no_secret_is_shown_by_repr_or_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = write(
        tmp_path,
        f'[database]\nurl = "{POSTGRESQL}"\n'
        f'[site]\nsecret_key = "{CANARY}"\nsecret_keys_old = ["{CANARY}"]\n'
        f'[broker]\nurl = "redis://:{CANARY}@broker.example.org/0"\n'
        f'[[relays]]\nname = "main"\nurl = "smtp://ada:{CANARY}@relay.example.org"\n'
        f'[bounces]\nmailbox = "imaps://ada:{CANARY}@mail.example.org/INBOX"\n',
    )
    settings = load_settings(file)
    assert CANARY not in repr(settings)
    assert CANARY not in settings.model_dump_json()
    assert f"imaps://ada:{CANARY}@mail.example.org/INBOX" in settings.secrets()
    for arguments in (["config", "show"], ["config", "show", "--json"]):
        said = CliRunner().invoke(app, ["--config", str(file), *arguments])
        assert said.exit_code == 0
        assert CANARY not in said.output
        assert "relay.example.org" in said.output


def test_the_key_is_made_once_and_is_its_owners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = open_runtime(load_settings()), open_runtime(load_settings())
    key = tmp_path / "var" / "secret_key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_text().strip()) == 64
    assert first.keys == second.keys
    key.write_text("short\n")
    with pytest.raises(ConfigurationError, match="expected at least 32 characters"):
        open_runtime(load_settings())


def test_with_postgresql_every_process_needs_the_same_key(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, f'[database]\nurl = "{POSTGRESQL}"\n'))
    with pytest.raises(ConfigurationError, match="NEWSLETTER_SITE__SECRET_KEY") as raised:
        open_runtime(settings)
    assert CANARY not in str(raised.value)


@pytest.mark.parametrize("url", ["mysql://x/y", "not a url", ""])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        connect(url)
