"""Charts and the click map: pure, values in, markup out."""

import re
import sys
from dataclasses import replace

import pytest
from bs4 import BeautifulSoup
from lxml import etree

from newsletter.reports import charts, click_map
from tests import factories


def axis(svg: bytes, of: str) -> list[str]:
    tree = etree.fromstring(svg)
    found = tree.xpath(f"//*[contains(@class, 'axis {of}')]//*[local-name()='text']/text()")
    return [str(text) for text in found]


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0], ["0"]),
        ([3], ["0", "1", "2", "3"]),
        ([0.25, 1.5], ["0", "0.5", "1", "1.5"]),
        ([812_345, None], ["0", "500,000", "1,000,000"]),
        ([None, None], ["0"]),
        ([12, -7], ["10", "5", "0", "5", "10", "15"]),
    ],
)
def test_the_axis_has_round_numbers(values: list[float | None], ticks: list[str]) -> None:
    labels = [str(n) for n in range(len(values))]
    assert axis(charts.bars(labels, {"Came": values}), "y") == ticks


@pytest.mark.parametrize("narrow", [False, True])
def test_labels_have_room(narrow: bool) -> None:
    labels = [f"{n} h" for n in range(48)]
    shown = axis(charts.lines(labels, {"Opens": [1] * 48}, narrow=narrow), "x")
    assert shown[0] == "0 h"
    assert 3 <= len(shown) <= (6 if narrow else 15)


def test_a_chart_without_figures_is_a_picture_too() -> None:
    assert etree.fromstring(charts.lines([], {"Opens": []})).tag.endswith("svg")


def test_what_is_written_in_a_chart_is_text() -> None:
    svg = charts.lines(["<a>"], {"<script>x</script>": [1]})
    assert not etree.fromstring(svg).findall(".//{*}script")


def test_nothing_of_pygals_looks_through_imports() -> None:
    assert not [found for found in sys.meta_path if type(found).__module__.startswith("pygal")]


def test_each_link_of_the_mail_has_its_clicks() -> None:
    text = factories.MARKDOWN.replace("[a link]", "[a > b]")
    email = factories.compiled(text).email
    mail = click_map.drawn(email, {1: 12, 3: 5}, lambda n: f"{n} clicks <b>")
    soup = BeautifulSoup(mail, "html.parser")
    said = {
        anchor.get_text(): sibling.get_text()
        for anchor in soup.select("a")
        if (sibling := anchor.find_next_sibling("span")) is not None
    }
    numbers = {link.url: link.number for link in email.links}
    assert numbers["https://example.org/one"] == 1
    assert said["One"] == "12 clicks <b>"
    assert said["Two"] == f"{5 if numbers['https://example.org/two'] == 3 else 0} clicks <b>"
    assert not soup.select("[href^=http], a[href], img")
    assert "reader@example.org" in mail
    assert email.nonce not in mail


def test_an_anchor_is_found_however_it_is_written() -> None:
    email = factories.compiled().email
    place = f"{email.nonce}-link1-"
    odd = (
        f"<A title='x > y' HREF='{place}'>one</A ><a class=\"b\" href={place} id=\"c\">two</a>"
        '<a href="mailto:x@example.org">three</a><a name="top">four</a>'
    )
    mail = click_map.drawn(replace(email, html=odd), {1: 7}, str)
    assert re.sub(r"<span[^>]*>(\d+)</span>", r"(\1)", mail) == (
        '<A title=\'x > y\'>one</A >(7)<a class="b" id="c">two</a>(7)'
        '<a>three</a><a name="top">four</a>'
    )
