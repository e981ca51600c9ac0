"""A newsletter's colours, light and dark: what an editor chose, the rest derived; contrast by WCAG.

Chosen are few: the others follow from these, so that no page has to ask for eleven colours twice.
What is not chosen is the default's, to the byte.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from newsletter.core.errors import InputError
from newsletter.core.sentences import say

LEAST_CONTRAST = 4.5
"""WCAG 2.2, success criterion 1.4.3 (AA), for text of any size."""
DEFAULT_TEMPLATE = "digest"
_HEX = re.compile(r"#[0-9a-f]{6}")
_SHORT_HEX = re.compile(r"#[0-9a-f]{3}")
_BLACK, _WHITE = "#000000", "#ffffff"
_STEPS = 256
_LOGO_WIDTH, _LOGO_HEIGHT = 240, 64
_LINEAR_BELOW = 0.04045


@dataclass(frozen=True, slots=True)
class Tones:
    """The colours of a mail in one scheme, as `#rrggbb` in lower case.

    Attributes:
        page: behind everything.
        card: behind the text.
        tint: behind the closing card.
        ink: headings.
        text: what is read.
        quiet: dates, authors, the footer.
        rule: lines between entries.
        accent: links, kickers, buttons.
        on_accent: the words on a button.
        mark: the line beside who should read an entry.
        edge: around a category.
    """

    page: str
    card: str
    tint: str
    ink: str
    text: str
    quiet: str
    rule: str
    accent: str
    on_accent: str
    mark: str
    edge: str


LIGHT = Tones(
    page="#f3f0ea",
    card="#ffffff",
    tint="#fbe9df",
    ink="#1d1b18",
    text="#3f3c37",
    quiet="#6b665e",
    rule="#e6e1d8",
    accent="#a8431a",
    on_accent="#ffffff",
    mark="#e0a58d",
    edge="#d5cfc4",
)
DARK = Tones(
    page="#131416",
    card="#1c1e21",
    tint="#2a211c",
    ink="#f2efe9",
    text="#c9c5bd",
    quiet="#a5a098",
    rule="#34373b",
    accent="#ff9b6b",
    on_accent="#231106",
    mark="#7a4a35",
    edge="#34373b",
)
SCHEMES = {"light": LIGHT, "dark": DARK}
CHOSEN = ("accent", "page", "card", "ink", "text", "quiet")
"""What an editor chooses, for each scheme."""
_READ_ON = {
    "accent": ("card", "page", "tint"),
    "ink": ("card", "page", "tint"),
    "text": ("card", "page", "tint"),
    "quiet": ("card", "page"),
}
"""Behind which words of a colour stand."""


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of a newsletter's mail."""

    light: Tones = LIGHT
    dark: Tones = DARK

    @classmethod
    def of(cls, chosen: Mapping[str, Mapping[str, str]]) -> "Palette":
        """The palette with these colours by scheme and name, as `checked` leaves them."""
        return cls(
            **{name: _derived(tones, chosen.get(name, {})) for name, tones in SCHEMES.items()}
        )

    def weaknesses(self) -> "tuple[Weakness, ...]":
        """Words that are hard to read, and what would mend them."""
        return tuple(
            weak for scheme in SCHEMES for weak in _weaknesses(scheme, getattr(self, scheme))
        )

    def mended(self) -> dict[str, dict[str, str]]:
        """The chosen colours, every weak one replaced by the nearest that can be read."""
        chosen = {
            scheme: {name: getattr(getattr(self, scheme), name) for name in CHOSEN}
            for scheme in SCHEMES
        }
        for weak in self.weaknesses():
            chosen[weak.scheme][weak.name] = weak.nearest or chosen[weak.scheme][weak.name]
        return checked(chosen)


_DEFAULT = Palette()


@dataclass(frozen=True, slots=True)
class Weakness:
    """A colour that words are hard to read in.

    Attributes:
        name: the chosen colour, such as `accent`.
        contrast: with the background where it is the least.
        nearest: the nearest tone of it that can be read on all its backgrounds; empty when none
            can, because these differ too much.
    """

    scheme: str
    name: str
    contrast: float
    nearest: str


def as_style_sheet(palette: Palette) -> str:
    """The colours for a web page whose own sheet names them: `--accent` and so on."""
    light, dark = (
        " ".join(f"--{name}: {colour};" for name, colour in asdict(tones).items())
        for tones in (palette.light, palette.dark)
    )
    return f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"


@dataclass(frozen=True, slots=True)
class Logo:
    """A newsletter's sign above its name; `width` is that on the page, in pixels."""

    url: str
    width: int
    alt: str

    @classmethod
    def of(cls, stored: Mapping[str, Any], base_url: str) -> "Logo | None":
        """From `path`, `width` and `height` of the picture, and `alt`; None: there is no logo."""
        if not stored.get("path"):
            return None
        width, height = int(stored["width"]), int(stored["height"])
        shown = width * min(1, _LOGO_WIDTH / width, _LOGO_HEIGHT / height)
        return cls(f"{base_url}{stored['path']}", max(1, round(shown)), str(stored["alt"]))


@dataclass(frozen=True, slots=True)
class Look:
    """How a newsletter's mail looks: which template, in which colours, under which sign."""

    template: str = DEFAULT_TEMPLATE
    palette: Palette = _DEFAULT
    logo: Logo | None = None


DEFAULT_LOOK = Look()


def checked(chosen: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """What is stored of the colours by scheme and name: those that are not the default's.

    Raises:
        InputError: a colour that is none, at a place such as `light.accent`.
    """
    kept: dict[str, dict[str, str]] = {}
    for scheme, tones in SCHEMES.items():
        given = {name: _read(chosen.get(scheme, {}), scheme, name) for name in CHOSEN}
        own = {
            name: colour
            for name, colour in given.items()
            if colour and colour != getattr(tones, name)
        }
        if own:
            kept[scheme] = own
    return kept


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def nearest_readable(colour: str, behind: Callable[[str], Sequence[str]]) -> str:
    """The tone nearest to this one that can be read on all that is `behind` it; empty: none can."""
    for step in range(_STEPS + 1):
        tones = [_mixed(colour, end, step / _STEPS) for end in (_BLACK, _WHITE)]
        contrasts = {tone: _least(tone, behind(tone)) for tone in tones}
        best = max(tones, key=contrasts.__getitem__)
        if contrasts[best] >= LEAST_CONTRAST:
            return best
    return ""


def _read(chosen: Mapping[str, Any], scheme: str, name: str) -> str:
    text = str(chosen.get(name, "")).strip().lower()
    if _SHORT_HEX.fullmatch(text):
        text = "#" + "".join(2 * digit for digit in text[1:])
    if text and not _HEX.fullmatch(text):
        raise InputError(
            f"{scheme}.{name}", say("expected a colour such as #a8431a, found %(text)r", text=text)
        )
    return text


def _derived(default: Tones, chosen: Mapping[str, str]) -> Tones:
    """With what follows from the chosen colours; from a default nothing follows."""
    tones = replace(default, **{name: chosen[name] for name in CHOSEN if name in chosen})
    follows: dict[str, str] = {}
    if "accent" in chosen:
        follows["on_accent"] = _words_on(tones.accent)
        follows["mark"] = _mixed(tones.accent, tones.card, 0.5)
    if "accent" in chosen or "card" in chosen:
        follows["tint"] = _tint(tones.accent, tones.card)
    if {"ink", "card"} & set(chosen):
        follows["rule"] = _mixed(tones.ink, tones.card, 0.88)
        follows["edge"] = _mixed(tones.ink, tones.card, 0.8)
    return replace(tones, **follows)


def _words_on(accent: str) -> str:
    """The words of a button: white, or nearly black where that is read better."""
    nearly = _mixed(accent, _BLACK, 0.85)
    black = nearly if contrast(nearly, accent) >= LEAST_CONTRAST else _BLACK
    return max((_WHITE, black), key=lambda tone: contrast(tone, accent))


def _weaknesses(scheme: str, tones: Tones) -> Iterator[Weakness]:
    for name in _READ_ON:
        behind = partial(_behind, tones, name)
        colour = getattr(tones, name)
        least = _least(colour, behind(colour))
        if least < LEAST_CONTRAST:
            yield Weakness(scheme, name, round(least, 1), nearest_readable(colour, behind))


def _behind(tones: Tones, name: str, colour: str) -> list[str]:
    """What stands behind this colour; the tint follows the accent."""
    if name == "accent" and colour != tones.accent:
        tones = replace(tones, tint=_tint(colour, tones.card))
    return [getattr(tones, place) for place in _READ_ON[name]]


def _tint(accent: str, card: str) -> str:
    return _mixed(accent, card, 0.88)


def _least(colour: str, backgrounds: Sequence[str]) -> float:
    return min(contrast(colour, background) for background in backgrounds)


def _mixed(one: str, other: str, share: float) -> str:
    """So much of the other in the one."""
    mixed = (
        round(a + (b - a) * share) for a, b in zip(_channels(one), _channels(other), strict=True)
    )
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    """Relative luminance of sRGB, as WCAG 2.2 defines it."""
    red, green, blue = (_linear(channel / 255) for channel in _channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(value: float) -> float:
    return value / 12.92 if value <= _LINEAR_BELOW else ((value + 0.055) / 1.055) ** 2.4
