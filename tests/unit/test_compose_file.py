"""docker-compose.yml against its specification and against our own code."""

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
import yaml

from newsletter.cli.app import app
from newsletter.core.config import load_settings
from newsletter.sending.relay_url import RelayUrl

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return read


def filled(value: str) -> str:
    """As compose fills in variables when none is set."""
    return VARIABLE.sub(lambda found: found[2] or "", str(value))


def test_it_keeps_the_specification(compose: dict[str, Any]) -> None:
    schema = json.loads((ROOT / "tests" / "vendor" / "compose-spec.json").read_text())
    assert list(jsonschema.Draft7Validator(schema).iter_errors(compose)) == []


def test_every_service_is_there_and_has_a_health_check(compose: dict[str, Any]) -> None:
    services = compose["services"]
    wanted = {"web", "worker", "beat", "postgres", "redis", "mailcatcher", "migrate"}
    assert set(services) == wanted
    for name in wanted - {"migrate"}:
        assert services[name]["healthcheck"]["test"], name
    assert "--appendonly" in services["redis"]["command"]
    for service in services.values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")


def test_what_services_wait_for_exists(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        for name, condition in service.get("depends_on", {}).items():
            healthy = condition["condition"] == "service_healthy"
            assert "healthcheck" in services[name] if healthy else name == "migrate"
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in compose["volumes"]


def test_our_commands_exist_with_their_options(compose: dict[str, Any]) -> None:
    group = typer.main.get_command(app)
    checked = 0
    for service in compose["services"].values():
        program, *arguments = service.get("command", ["none"])
        if program != "newsletter":
            continue
        command: Any = group
        while hasattr(command, "commands"):
            command = command.commands[arguments.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {argument for argument in arguments if argument.startswith("--")} <= known
        checked += 1
    assert checked == 2


def test_the_celery_commands_name_our_application(
    compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("worker", "beat"):
        command = compose["services"][name]["command"]
        assert command[:4] == ["celery", "-A", "worker", name]
        health = compose["services"][name]["healthcheck"]["test"]
        assert "worker" in shlex.join(health)
    monkeypatch.setenv("NEWSLETTER_BROKER__URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("NEWSLETTER_DATABASE__URL", "postgresql://127.0.0.1/x")
    import worker

    assert worker.app.tasks["newsletter.jobs.tasks.deliver_slice"]
    assert worker.app.tasks["newsletter.jobs.tasks.sweep"]


def test_its_environment_is_settings_that_load(
    compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("NEWSLETTER_")]:
        monkeypatch.delenv(name)
    for name, value in compose["services"]["web"]["environment"].items():
        monkeypatch.setenv(name, filled(value))
    settings = load_settings()
    assert not settings.embedded
    assert settings.site.secret_key_file == Path("/var/lib/newsletter/secret_key")
    (relay,) = settings.relays
    url = RelayUrl.parse(relay.url.get_secret_value(), place="relay")
    assert (url.host, url.port) == ("mailcatcher", 1025)
    assert url.host in compose["services"]


def test_every_variable_is_in_the_example_and_the_other_way_round(compose: dict[str, Any]) -> None:
    used = dict(VARIABLE.findall((ROOT / "docker-compose.yml").read_text()))
    lines = (ROOT / ".env.example").read_text().splitlines()
    shown = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert shown == used
    assert compose["services"]


def test_the_image_holds_what_it_copies_and_runs() -> None:
    text = (ROOT / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
    assert "USER newsletter" in text
