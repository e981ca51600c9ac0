"""Charts as SVG pictures, drawn by pygal: no script, nothing from elsewhere, light and dark.

A picture says nothing that the table beside it does not say.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pygal
from pygal.style import Style

# It looks through every import from then on, for maps that nobody here has.
sys.meta_path[:] = [
    found for found in sys.meta_path if not isinstance(found, pygal.PluginImportFixer)
]

_SANS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_ID = "chart"
_WIDE, _NARROW = (1_040, 320), (400, 300)
_LABEL_EVERY_PIXELS = 72
_TICKS = 4
_LIGHT = ("#a8431a", "#2f6f9f", "#6d6a63", "#23693a")
_DARK = ("#ff9b6b", "#7db8e8", "#a5a098", "#7fd197")

Values = Sequence[float | None]
"""One for each label; None: not known."""


def lines(labels: Sequence[str], series: Mapping[str, Values], *, narrow: bool = False) -> bytes:
    """A curve for each series."""
    chart = pygal.Line(**_config(labels, narrow=narrow), dots_size=2, stroke_style={"width": 2})
    return _drawn(chart, labels, series)


def bars(labels: Sequence[str], series: Mapping[str, Values], *, narrow: bool = False) -> bytes:
    """Bars beside each other; what goes away is given below zero and hangs down."""
    chart = pygal.StackedBar(**_config(labels, narrow=narrow), rounded_bars=1)
    return _drawn(chart, labels, series)


def _config(labels: Sequence[str], *, narrow: bool) -> dict[str, Any]:
    width, height = _NARROW if narrow else _WIDE
    fitting = max(1, width // _LABEL_EVERY_PIXELS)
    return {
        "width": width,
        "height": height,
        "x_labels_major_every": max(1, -(-len(labels) // fitting)),
        "show_minor_x_labels": False,
        "show_x_guides": False,
        "legend_at_bottom": True,
        "legend_at_bottom_columns": 2,
        "legend_box_size": 12,
        "truncate_label": -1,
        "truncate_legend": -1,
        "margin": 8,
        "margin_bottom": 18,
        "js": (),
        "style": _STYLE,
        "zero": 0,
        "include_x_axis": True,
        "disable_xml_declaration": True,
    }


def _drawn(chart: Any, labels: Sequence[str], series: Mapping[str, Values]) -> bytes:
    chart.x_labels = labels
    chart.y_labels = _ticks([v for values in series.values() for v in values if v is not None])
    for title, values in series.items():
        chart.add(title, list(values))
    root = chart.render_tree()
    style = root.find(".//{*}style")
    style.text = f"{style.text}\n{_COLOURS}"
    return _as_text(root)


def _as_text(root: Any) -> bytes:
    """Without script and comments; alike for alike figures: pygal's names are random."""
    from lxml import etree

    etree.strip_elements(root, "{*}script", etree.Comment, with_tail=False)
    return etree.tostring(root, encoding="utf-8").replace(root.get("id").encode(), _ID.encode())  # type: ignore[no-any-return] # theirs


def _ticks(values: Sequence[float]) -> list[dict[str, Any]]:
    """Round numbers from the least to the most, zero among them; below it the minus is not said."""
    top, bottom = max(0.0, *values, 0.0), min(0.0, *values, 0.0)
    step = _round_step((top - bottom) / _TICKS)
    numbers = range(math.floor(bottom / step), math.ceil(top / step) + 1)
    return [{"value": n * step, "label": f"{abs(n * step):,.10g}"} for n in numbers]


def _round_step(least: float) -> float:
    """1, 2 or 5 times a power of ten, not below `least`."""
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= least)


_STYLE = Style(
    background="transparent",
    plot_background="transparent",
    foreground="#3f3c37",
    foreground_strong="#1d1b18",
    foreground_subtle="#68635b",
    font_family=_SANS,
    label_font_size=13,
    major_label_font_size=13,
    legend_font_size=14,
    no_data_font_size=16,
    opacity="1",
    opacity_hover="1",
    transition="none",
    colors=_LIGHT,
)


def _dark_rules() -> str:
    of_series = "".join(
        f"#{_ID} .color-{number}, #{_ID} .legend .color-{number} "
        f"{{ fill: {colour}; stroke: {colour}; }} "
        for number, colour in enumerate(_DARK)
    )
    texts = ", ".join(
        f"#{_ID} {text}" for text in (".legends .legend text", ".axis text", ".axis text.major")
    )
    return (
        f"{texts}, #{_ID} text.no_data {{ fill: #cdc9c1; }} "
        f"#{_ID} .axis .guide.line, #{_ID} .axis .major.guide.line {{ stroke: #3d4146; }} "
        f"#{_ID} .axis .line {{ stroke: #7d7a74; }} {of_series}"
    )


_COLOURS = (
    f"#{_ID} .axis text, #{_ID} .axis text.major {{ fill: #3f3c37; font-family: {_SANS}; }} "
    f"#{_ID} .axis .line {{ stroke: #8d877d; }} "
    f"#{_ID} .axis .guide.line, #{_ID} .axis .major.guide.line "
    "{ stroke: #e2ddd4; stroke-dasharray: none; } "
    f"#{_ID} .series .line {{ fill: none; stroke-width: 2.5; }} "
    f"#{_ID} .axis .line, #{_ID} .axis .guide.line {{ stroke-width: 1; }} "
    f"@media (prefers-color-scheme: dark) {{ {_dark_rules()} }}"
)
