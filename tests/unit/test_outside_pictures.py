"""What is remembered of pictures from elsewhere: each once, for a while, within bounds."""

import asyncio
import threading

import pytest
import time_machine

from newsletter.core.fetch import Fetched, Fetcher, FetchError
from newsletter.core.sentences import quoted
from newsletter.core.tokens import TokenKeys
from newsletter.web import outside_pictures
from newsletter.web.outside_pictures import MOST_OF_A_HOST, MOST_UNDER_WAY, OutsidePictures

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


class SlowWeb(Web):
    """`slow` servers answer when they are let."""

    def fetch(self, url: str) -> Fetched:
        found = super().fetch(url)
        if "slow" in url:
            _LET.wait(30)
        return found


_LET = threading.Event()


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


def test_a_slow_server_keeps_no_other_waiting() -> None:
    _ASKED.clear()
    _LET.clear()
    pictures = OutsidePictures("https://news.example.org", KEYS, SlowWeb())
    at_a_time = 2

    async def crowd() -> None:
        slow = [f"https://slow.example/{number}.gif" for number in range(MOST_OF_A_HOST)]
        looks = [asyncio.create_task(pictures.picture(url)) for url in slow]
        try:
            other = await asyncio.wait_for(pictures.picture("https://example.org/a.gif"), 30)
            assert other.data == GIF
            late = await pictures.picture("https://slow.example./one-more.gif")
            assert late.is_late
            assert pictures.problem("https://slow.example./one-more.gif") is None
            for look in looks[at_a_time:-1]:
                look.cancel()  # their browsers have left
            await asyncio.wait(looks[at_a_time:-1])
            again = asyncio.create_task(pictures.picture("https://slow.example/one-more.gif"))
        finally:
            _LET.set()
        stayed = [*looks[:at_a_time], looks[-1], again]
        assert [(await look).data for look in stayed] == [GIF] * 4
        begun = {url for url in _ASKED if "slow" in url}
        assert begun == {*slow[:at_a_time], slow[-1], "https://slow.example/one-more.gif"}

    asyncio.run(crowd())


def test_only_so_many_pictures_are_on_their_way(pictures: OutsidePictures) -> None:
    async def crowd() -> None:
        urls = [f"https://{number}.example/a.gif" for number in range(MOST_UNDER_WAY + 1)]
        found = await asyncio.gather(*map(pictures.picture, urls))
        assert [each.is_late for each in found] == [*[False] * MOST_UNDER_WAY, True]
        assert (await pictures.picture(urls[-1])).data == GIF

    asyncio.run(crowd())
