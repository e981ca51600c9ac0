"""The pictures in the README and the editor's guide, by the names of their files."""

from dataclasses import dataclass

from tests.furnished.house import Things, paths_of
from tests.servers.driven_browser import DESKTOP, PHONE, Scheme, Screen


@dataclass(frozen=True, slots=True)
class Picture:
    """One page as somebody sees it."""

    route: str
    screen: Screen = DESKTOP
    scheme: Scheme = "light"

    def path(self, things: Things) -> str:
        return paths_of(self.route, things)[0]


PICTURES = {
    "today": Picture("/"),
    "today-phone": Picture("/", PHONE, "dark"),
}
