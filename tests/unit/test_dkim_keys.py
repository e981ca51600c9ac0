"""DKIM keys: made, read, shown, chosen by newsletter; what is wrong is named, nothing shown."""

import json
import logging
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydantic import SecretStr
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from newsletter.cli.app import app, main
from newsletter.core.config import Settings, load_settings
from newsletter.core.errors import ConfigurationError, NewsletterError
from newsletter.core.logs import get
from newsletter.core.runtime import open_runtime
from newsletter.core.sections import DkimSettings
from newsletter.mail import dkim_keys
from newsletter.mail.dkim import Signer
from newsletter.mail.dkim_keys import Algorithm
from newsletter.sending.signing import keyring_of, ready_to_sign
from tests import factories
from tests.dkim_keys import ED25519, RSA, setting

PEM = dkim_keys.written(RSA.key).decode()
SECRET_LINES = [line for line in PEM.splitlines() if len(line) > 30]


def of_1024_bits() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    return dkim_keys.written(key).decode()


def of_512_bits() -> bytes:
    """From two primes: the library makes none so short any more."""
    p = 109007309445536519727694670718816582337031955115499166470404412175186947135191
    q = 103937439021923539424117544443718806653652221225472603320602334095895987015511
    d = rsa.rsa_recover_private_exponent(65537, p, q)
    public = rsa.RSAPublicNumbers(65537, p * q)
    dmp1, dmq1 = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, dmp1, dmq1, rsa.rsa_crt_iqmp(p, q), public)
    return dkim_keys.written(numbers.private_key())


def other_keys() -> dict[str, bytes]:
    curve = ec.generate_private_key(ec.SECP256R1())
    pkcs8 = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    locked = RSA.key.private_bytes(*pkcs8, serialization.BestAvailableEncryption(b"x"))
    return {
        "of another kind": curve.private_bytes(*pkcs8, serialization.NoEncryption()),
        "locked": locked,
        "broken": PEM[:200].encode(),
        "empty": b"",
        "binary": bytes(range(256)),
    }


def settings(*entries: DkimSettings) -> Settings:
    return factories.settings(dkim=entries)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_a_key_file_gives_the_same_key_back(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    for signer in (RSA, ED25519):
        file.write_bytes(dkim_keys.written(signer.key))
        entry = DkimSettings(domain="example.org", selector="s", key_file=file)
        ((_, found),) = keyring_of(settings(entry.model_copy())).entries
        assert dkim_keys.record(found.key) == dkim_keys.record(signer.key)
        file = tmp_path / "other.pem"


@pytest.mark.parametrize("kind", other_keys())
def test_what_is_no_key_is_refused_by_place(kind: str) -> None:
    pem = other_keys()[kind]
    with pytest.raises(NewsletterError, match=r"dkim\.0: expected a private key in PEM") as raised:
        dkim_keys.read(pem, place="dkim.0")
    assert SECRET_LINES[0] not in str(raised.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    entry = DkimSettings(domain="example.org", selector="s", key_file=tmp_path / "none.pem")
    with pytest.raises(ConfigurationError, match=r"dkim\.1\.key_file .*none\.pem.*No such file"):
        keyring_of(settings(setting(RSA), entry))


def test_a_key_that_proves_nothing_is_refused() -> None:
    with pytest.raises(NewsletterError, match=r"^here: an RSA key of 512 bits: expected 2048"):
        dkim_keys.read(of_512_bits(), place="here")


def test_a_short_key_signs_with_a_warning() -> None:
    entry = DkimSettings(domain="example.org", selector="s", key=SecretStr(of_1024_bits()))
    with capture_logs() as said:
        ready_to_sign(settings(setting(RSA)))
        assert said == []
        ready_to_sign(settings(entry))
    assert [line["event"] for line in said] == ["dkim.short_key"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('domain = "example.org"\nselector = "s"\n', r"dkim\.0: .*either key_file or key"),
        ('domain = "example.org"\nselector = "s"\nkey = "x"\nkey_file = "y"\n', "either"),
        ('domain = "Bücher.org"\nselector = "s"\nkey = "x"\n', r"dkim\.0\.domain"),
        ('domain = "example.org"\nselector = "a b"\nkey = "x"\n', r"dkim\.0\.selector"),
        ('domain = "example.org"\nselector = "s"\nkeyfile = "x"\n', r"dkim\.0\.keyfile"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "newsletter.toml"
    file.write_text("[[dkim]]\n" + text)
    with pytest.raises(ConfigurationError, match=expected):
        load_settings(file)


def test_the_private_key_is_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    entry = {"domain": "example.org", "selector": "a", "key": PEM}
    monkeypatch.setenv("NEWSLETTER_DKIM", json.dumps([entry]))
    before = logging.getLogger().handlers
    try:
        runtime = open_runtime(load_settings())
        get("test").warning("said", pem=PEM, again=repr(PEM), text=json.dumps(PEM))
    finally:
        logging.getLogger().handlers = before
    ((_, signer),) = keyring_of(runtime.settings).entries
    shown = [
        *(repr(value) for value in (runtime.settings, keyring_of(runtime.settings), signer)),
        runtime.settings.model_dump_json(),
        run("config", "show").output,
        run("config", "show", "--json").output,
        run("dkim", "show").output,
        run("dkim", "show", "--json").output,
        "".join(capsys.readouterr()),
    ]
    assert "said" in shown[-1]
    for line in SECRET_LINES:
        assert not any(line in text for text in shown)


def chosen(*entries: DkimSettings, slug: str = "field-notes", sender: str = "e@example.org") -> str:
    identity = factories.identity(newsletter_slug=slug, sender_address=sender)
    return "".join(s.selector for s in keyring_of(settings(*entries)).signers(identity))


def test_a_key_signs_for_its_domain_and_one_that_names_a_newsletter_first() -> None:
    rsa_key, ed25519 = setting(RSA), setting(ED25519)
    named = setting(Signer("example.org", "n", RSA.key), "field-notes")
    assert chosen() == ""
    assert chosen(rsa_key, ed25519) == "ab"
    assert chosen(rsa_key, ed25519, sender="e@EXAMPLE.org") == "ab"
    assert chosen(rsa_key, sender="e@example.net") == ""
    assert chosen(rsa_key, sender="e@mail.example.org") == ""
    assert chosen(rsa_key, named) == "n"
    assert chosen(rsa_key, named, slug="other") == "a"
    assert chosen(named, sender="e@mail.example.org") == "n"
    assert chosen(named, sender="e@notexample.org") == ""


def test_keygen_writes_private_files_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["dkim", "keygen", "--domain", "example.org", "--selector", "2026a", "--out", "keys"]
    assert "Would write keys/example.org.2026a-rsa.pem" in run(*command, "--dry-run").output
    assert not Path("keys").exists()
    said = run(*command).output
    files = sorted(Path("keys").iterdir())
    assert [f.name for f in files] == [
        f"example.org.2026a-{kind}.pem" for kind in ("ed25519", "rsa")
    ]
    assert {f.stat().st_mode & 0o777 for f in files} == {0o600}
    Path("newsletter.toml").write_text(said[said.index("[[dkim]]") :])
    shown = json.loads(run("dkim", "show", "--json").output)
    assert [entry["algorithm"] for entry in shown] == ["rsa", "ed25519"]
    for entry in shown:
        assert max(map(len, entry["strings"])) <= 255
        assert "".join(entry["strings"]) == entry["value"]
        strings = " ".join(f'"{string}"' for string in entry["strings"])
        assert f"{entry['name']}. IN TXT ( {strings} )" in said
        assert strings in run("dkim", "show").output
    before = [f.read_bytes() for f in files]
    again = CliRunner().invoke(app, command)
    assert isinstance(again.exception, NewsletterError)
    assert "is there already" in str(again.exception)
    assert [f.read_bytes() for f in files] == before


@pytest.mark.parametrize(
    ("domain", "selector", "expected"),
    [
        ("example org", "a", "--domain"),
        ("example.org", "A b", "--selector"),
        ("example.org", "a" * 64, "--selector"),
        ("example.org", "../a", "--selector"),
    ],
)
def test_keygen_refuses_what_dns_could_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, domain: str, selector: str, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("dkim", "keygen", "--domain", domain, "--selector", selector)
    assert isinstance(result.exception, NewsletterError)
    assert str(result.exception).startswith(expected)
    assert list(tmp_path.iterdir()) == []


def test_one_kind_keeps_the_selector_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for kind in Algorithm:
        command = ["--domain", "bücher.example", "--selector", f"s.{kind}", "--algorithm", kind]
        assert run("dkim", "keygen", *command).exit_code == 0
        file = tmp_path / f"xn--bcher-kva.example.s.{kind}.pem"
        key = dkim_keys.read(file.read_bytes(), place="file")
        assert dkim_keys.algorithm_of(key) is kind


def test_without_keys_show_says_how_to_make_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "newsletter dkim keygen" in run("dkim", "show").output
    assert json.loads(run("dkim", "show", "--json").output) == []


def test_a_wrong_key_ends_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "newsletter.toml").write_text(
        '[[dkim]]\ndomain = "example.org"\nselector = "a"\nkey = "nothing"\n'
    )
    monkeypatch.setattr("sys.argv", ["newsletter", "dkim", "show"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "dkim.0.key: expected a private key in PEM form" in capsys.readouterr().err
