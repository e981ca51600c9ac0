"""Styles onto elements: premailer, and nobody else knows of it.

Its last release is of 2021. What it must leave alone (conditional comments, media queries, mrml's
own reset, tokens, the doctype) is held by golden tests.
"""

import logging
import re
from functools import lru_cache
from typing import Any

from premailer import Premailer

_DOCTYPE = re.compile(r"^<!doctype html>", re.IGNORECASE)
_CONDITIONAL = re.compile(r"(<!--\[if.*?<!\[endif\]-->)", re.DOTALL)
_STYLE = re.compile(r"<style\b")
_PICTURE = re.compile(r'(<img\b(?![^>]*\bstyle=)[^>]*\bwidth="(\d+)")')
_IGNORED = ' data-premailer="ignore"'
_OPTIONS = {
    "keep_style_tags": True,
    "strip_important": False,
    "disable_leftover_css": True,
    "disable_basic_attributes": ["align", "bgcolor", "width", "height", "valign"],
    "disable_validation": True,
    "disable_link_rewrites": True,
    "align_floating_images": False,
    "preserve_internal_links": True,
    "allow_network": False,
    "allow_loading_external_files": False,
    "cssutils_logging_handler": logging.NullHandler(),
    "cssutils_logging_level": logging.CRITICAL,
}


def inline_css(page: str, sheet: str) -> str:
    """The page with the rules of `sheet` as style attributes; its own style blocks stay.

    `sheet` is flat: simple selectors, no media queries.
    """
    upper = _DOCTYPE.sub("<!DOCTYPE html>", page)  # a lower-case one is dropped: quirks mode
    marked = _ignoring_styles(_shrinking_pictures(upper))
    return str(_Inliner(marked, css_text=[sheet], **_OPTIONS).transform()).replace(_IGNORED, "")


class _Inliner(Premailer):  # type: ignore[misc] # it ships no types
    """Premailer, except that a sheet is taken apart once: that is half of the work of a mail."""

    def _parse_style_rules(self, sheet: str, number: int) -> tuple[list[Any], list[Any]]:
        return _taken_apart(sheet, number)


@lru_cache(maxsize=16)
def _taken_apart(sheet: str, number: int) -> tuple[list[Any], list[Any]]:
    inliner = Premailer("<p>", **_OPTIONS)
    rules: tuple[list[Any], list[Any]] = inliner._parse_style_rules(  # noqa: SLF001 - see _Inliner
        sheet, number
    )
    return rules


def _shrinking_pictures(page: str) -> str:
    """Outlook goes by a picture's width attribute, phones by its style, blocked or not."""
    return _PICTURE.sub(r'\1 style="max-width:\2px"', page)


def _ignoring_styles(page: str) -> str:
    """Every style block outside conditional comments marked as none of premailer's business."""
    pieces = _CONDITIONAL.split(page)
    return "".join(
        piece if number % 2 else _STYLE.sub(f"<style{_IGNORED}", piece)
        for number, piece in enumerate(pieces)
    )
