"""What is remembered of pictures from elsewhere: each once, for a while, within bounds."""

import asyncio

import pytest
import time_machine

from newsletter.core.fetch import Fetched, Fetcher, FetchError
from newsletter.core.sentences import quoted
from newsletter.core.tokens import TokenKeys
from newsletter.web import outside_pictures
from newsletter.web.outside_pictures import OutsidePictures

GIF = b"GIF89a" + b"x" * 20_000
KEYS = TokenKeys.from_secrets("a secret of the tests, long enough to be one")
_ASKED: list[str] = []


class Web(Fetcher):
    """Notes what it was asked for; `gone` is not there."""

    def fetch(self, url: str) -> Fetched:
        _ASKED.append(url)
        if "gone" in url:
            raise FetchError(url, quoted("the server answered 404"))
        return Fetched(url, "image/gif", GIF)


@pytest.fixture
def pictures() -> OutsidePictures:
    _ASKED.clear()
    return OutsidePictures("https://news.example.org", KEYS, Web())


def test_whoever_asks_for_a_picture_on_its_way_waits_for_the_same(
    pictures: OutsidePictures,
) -> None:
    async def two_frames() -> None:
        url = "https://example.org/a.gif"
        both = await asyncio.gather(pictures.picture(url), pictures.picture(url))
        assert [found.data for found in both] == [GIF, GIF]

    asyncio.run(two_frames())
    assert len(_ASKED) == 1


def test_a_picture_is_kept_for_minutes_and_a_refusal_for_one(pictures: OutsidePictures) -> None:
    there, gone = "https://example.org/a.gif", "https://example.org/gone.gif"

    async def looked_at(*urls: str) -> None:
        for url in urls:
            await pictures.picture(url)

    with time_machine.travel("2026-06-17T08:00:00+00:00", tick=False) as clock:
        asyncio.run(looked_at(there, gone, there, gone))
        assert [there, gone] == _ASKED
        assert pictures.problem(gone) == "the server answered 404"
        assert pictures.problem(there) is None
        clock.shift(61)
        assert pictures.problem(gone) is None
        asyncio.run(looked_at(there, gone))
        assert [there, gone, gone] == _ASKED
        clock.shift(600)
        asyncio.run(looked_at(there))
        assert [there, gone, gone, there] == _ASKED


def test_the_oldest_pictures_are_forgotten_first(
    pictures: OutsidePictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside_pictures, "KEPT_BYTES", 3 * len(GIF))
    urls = [f"https://example.org/{number}.gif" for number in range(3)]

    async def look() -> None:
        for url in [*urls, urls[2], urls[1], urls[0]]:
            await pictures.picture(url)

    asyncio.run(look())
    assert [*urls, urls[0]] == _ASKED
