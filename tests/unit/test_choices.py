"""What a command takes is what its room knows."""

from typing import get_args

from newsletter.accounts import api_tokens
from newsletter.accounts.permissions import Permission, Role
from newsletter.cli.subscriber_files import PresetName
from newsletter.cli.tokens import Scope
from newsletter.cli.users import RoleOrNone
from subscribers.imports.presets.recognise import PRESETS


def test_the_choices_shown_are_all_there_are() -> None:
    assert tuple(map(Permission, Scope)) == api_tokens.SCOPES
    assert get_args(RoleOrNone) == (*Role, "none")
    assert get_args(PresetName) == tuple(sorted(preset.name for preset in PRESETS))
