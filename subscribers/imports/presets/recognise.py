"""Whose file this is: by its header, or by what the operator says."""

from newsletter.core.errors import InputError
from newsletter.core.sentences import say
from subscribers.imports.imported import Preset
from subscribers.imports.presets.buttondown import BUTTONDOWN
from subscribers.imports.presets.ghost import GHOST
from subscribers.imports.presets.keila import KEILA
from subscribers.imports.presets.kit import KIT
from subscribers.imports.presets.listmonk import LISTMONK
from subscribers.imports.presets.mailchimp import MAILCHIMP
from subscribers.imports.presets.own import OURS_ALONE, OWN
from subscribers.imports.presets.substack import SUBSTACK

PRESETS = (LISTMONK, KEILA, GHOST, MAILCHIMP, SUBSTACK, KIT, BUTTONDOWN, OWN)
"""The most telling first: the own format is known by `email` alone."""

PRESET_NAMES = ", ".join(sorted(preset.name for preset in PRESETS))


def recognise(header: frozenset[str], place: str, forced: str = "") -> Preset:
    """The preset whose columns the header has, or the forced one if it has them.

    Raises:
        InputError: none fits; the error names the columns that were expected.
    """
    preset = _named(forced) if forced else _by_header(header, place)
    if not any(known <= header for known in preset.known_by):
        wanted = " or ".join(", ".join(sorted(known)) for known in preset.known_by)
        raise InputError(
            place,
            say(
                "expected the columns of %(name)s: %(wanted)s; found %(header)s",
                name=preset.name,
                wanted=wanted,
                header=_shown(header),
            ),
        )
    return preset


def _named(name: str) -> Preset:
    for preset in PRESETS:
        if preset.name == name.lower():
            return preset
    raise InputError(
        "--preset",
        say("expected one of %(presets)s, found %(name)r", presets=PRESET_NAMES, name=name),
    )


def _by_header(header: frozenset[str], place: str) -> Preset:
    # Kit's columns are all ours as well; to it, what we say of consent would be attributes.
    is_ours = "email" in header and not header.isdisjoint(OURS_ALONE)
    for preset in (OWN,) if is_ours else PRESETS:
        if any(known <= header for known in preset.known_by):
            return preset
    page = say("expected a column `email`, found %(header)s", header=_shown(header))
    problem = say("%(page)s; name yours, such as --map 'E-Mail=email'", page=page)
    raise InputError(place, problem)


def _shown(header: frozenset[str]) -> str:
    return ", ".join(sorted(filter(None, header))) or say("nothing")
