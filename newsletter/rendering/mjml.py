"""MJML to HTML, with a lint before it: mrml lets unknown tags and attributes pass in silence."""

import re
from functools import lru_cache

from mjml import mjml2html

from newsletter.core.sentences import say
from newsletter.rendering.templates import TemplateError

_TAG = re.compile(r"<(mj[\w-]*)((?:\s+[\w:-]+\s*=\s*\"[^\"]*\")*)\s*/?>")
_ANY_TAG = re.compile(r"<(mj[\w-]*)")
_ATTRIBUTE = re.compile(r"([\w:-]+)\s*=\s*\"([^\"]*)\"")
_SHORT_HEX = re.compile(r"#[0-9a-fA-F]{3}")
_BARE_ZERO = re.compile(r"(?:^|\s)0(?:\s|$)")
_OFFSET = re.compile(r"\b(\d+)\.\.\d+")

_BOX = {"padding", "padding-top", "padding-right", "padding-bottom", "padding-left", "css-class"}
_FONT = {
    *("color", "font-family", "font-size", "font-style", "font-weight", "letter-spacing"),
    *("line-height", "text-decoration", "text-transform", "align"),
}
_PAINT = {"background-color", "border", "border-radius", "border-top", "border-bottom"}
_KNOWN: dict[str, set[str]] = {
    "mjml": {"lang", "dir"},
    "mj-head": set(),
    "mj-title": set(),
    "mj-breakpoint": {"width"},
    "mj-attributes": set(),
    "mj-all": {"font-family", *_BOX},
    "mj-class": {"name", *_BOX, *_FONT, *_PAINT},
    "mj-style": set(),
    "mj-raw": set(),
    "mj-body": {"width", "background-color", "css-class"},
    "mj-wrapper": {*_BOX, *_PAINT, "text-align", "full-width"},
    "mj-section": {*_BOX, *_PAINT, "text-align", "full-width", "direction"},
    "mj-group": {"width", "vertical-align", "background-color", "css-class", "direction"},
    "mj-column": {*_BOX, *_PAINT, "width", "vertical-align", "inner-border-radius"},
    "mj-text": {*_BOX, *_FONT, "height", "container-background-color"},
    "mj-divider": {
        *_BOX,
        *("border-color", "border-style", "border-width", "width", "align"),
        "container-background-color",
    },
    "mj-button": {
        *_BOX,
        *_FONT,
        *_PAINT,
        *("href", "rel", "target", "title", "width", "height", "inner-padding", "text-align"),
        *("vertical-align", "container-background-color"),
    },
    "mj-image": {
        *_BOX,
        *("src", "srcset", "sizes", "alt", "title", "href", "rel", "target", "width", "height"),
        *("align", "border", "border-radius", "fluid-on-mobile", "container-background-color"),
    },
    "mj-spacer": {*_BOX, "height", "container-background-color"},
    "mj-table": {*_BOX, *_FONT, "border", "cellpadding", "cellspacing", "width", "table-layout"},
}


def compile_mjml(source: str, name: str) -> str:
    """HTML of linted MJML; fetches nothing, keeps no comments of the source.

    Raises:
        TemplateError: names `name` and a line of the filled-in MJML.
    """
    text = source.replace("\r\n", "\n").replace("\r", "\n")
    lint(text, name)
    try:
        return _compiled(text)
    except ValueError as error:
        raise TemplateError(
            f"{name}{_line(text, str(error))}", say("not MJML: %(error)s", error=error)
        ) from None


def lint(source: str, name: str) -> None:
    """Refuse what mrml would silently drop or Outlook would show wrong.

    Raises:
        TemplateError: an unknown tag or attribute, a zero without unit, a short hex colour, more
            than one class.
    """
    for found in _ANY_TAG.finditer(source):
        place = f"{name}:{source.count(chr(10), 0, found.start()) + 1}"
        tag = found[1]
        if tag not in _KNOWN:
            raise TemplateError(place, say("<%(tag)s> is not a tag that our mails use", tag=tag))
        whole = _TAG.match(source, found.start())
        if whole is None:
            raise TemplateError(
                place, say('<%(tag)s>: expected attributes as name="value"', tag=tag)
            )
        for attribute, value in _ATTRIBUTE.findall(whole[2]):
            _lint_attribute(place, tag, attribute, value)


def _lint_attribute(place: str, tag: str, attribute: str, value: str) -> None:
    if attribute == "mj-class":
        if len(value.split()) > 1:
            raise TemplateError(
                place,
                say("<%(tag)s>: expected one mj-class, found %(value)r", tag=tag, value=value),
            )
        return
    if attribute not in _KNOWN[tag]:
        raise TemplateError(
            place, say("<%(tag)s> has no attribute %(attribute)r", tag=tag, attribute=attribute)
        )
    if "padding" in attribute and _BARE_ZERO.search(value):
        raise TemplateError(
            place,
            say(
                '<%(tag)s> %(attribute)s="%(value)s": write 0px, not 0',
                tag=tag,
                attribute=attribute,
                value=value,
            ),
        )
    if "color" in attribute and _SHORT_HEX.fullmatch(value):
        raise TemplateError(
            place,
            say(
                "<%(tag)s> %(attribute)s: write six hex digits, not %(value)s",
                tag=tag,
                attribute=attribute,
                value=value,
            ),
        )


@lru_cache(maxsize=4)
def _compiled(source: str) -> str:
    return str(mjml2html(source, fonts={}, disable_comments=True))


def _line(source: str, message: str) -> str:
    """`:LINE` from the byte offset that some of mrml's messages carry."""
    found = _OFFSET.search(message)
    if found is None:
        return ""
    before = source.encode()[: int(found[1])]
    return f":{before.decode(errors='replace').count(chr(10)) + 1}"
