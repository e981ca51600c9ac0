"""`newsletter config`: what the settings come to."""

import json
from typing import Any

import typer
from pydantic import SecretStr

from newsletter.cli import output, state
from newsletter.core.logs import MASK

app = typer.Typer(help="Look at the settings.", no_args_is_help=True)


@app.command()
def show(*, as_json: output.AsJson = False) -> None:
    """Print the effective settings; secrets are masked."""
    values = state.settings().model_dump(mode="python")
    if as_json:
        output.print_json(_masked(values))
        return
    for name, value in _flat(_masked(values)):
        output.say(f"{name} = {json.dumps(value, ensure_ascii=False, default=str)}")


def _masked(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return _masked_url(value.get_secret_value())
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(item) for item in value]
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _masked_url(secret: str) -> str:
    """Of a URL everything but its credentials may be seen; of any other secret nothing."""
    scheme, found, rest = secret.partition("://")
    if not found:
        return MASK if secret else ""
    credentials, at, place = rest.rpartition("@")
    return f"{scheme}://{MASK}@{place}" if at and credentials else secret


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat += _flat(value, f"{name}.") if isinstance(value, dict) else [(name, value)]
    return flat
