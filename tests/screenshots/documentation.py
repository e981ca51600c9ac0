"""The pictures in the README and the editor's guide, by the names of their files."""

from dataclasses import dataclass

from tests.furnished.house import Things, paths_of
from tests.servers.driven_browser import DESKTOP, PHONE, Scheme, Screen


@dataclass(frozen=True, slots=True)
class Picture:
    """One page as somebody sees it.

    Attributes:
        opens: what is unfolded on it, by its words; only that is in the picture.
    """

    route: str
    screen: Screen = DESKTOP
    scheme: Scheme = "light"
    opens: str = ""

    def path(self, things: Things) -> str:
        return paths_of(self.route, things)[0]


PICTURES = {
    "today": Picture("/"),
    "today-phone": Picture("/", PHONE, "dark"),
    "issues": Picture("/issues"),
    "write": Picture("/issues/{issue_id}"),
    "write-phone": Picture("/issues/{issue_id}", PHONE, "dark"),
    "entries": Picture("/issues/{issue_id}", opens="Entries"),
    "history": Picture("/issues/{issue_id}/history/{number}"),
    "send": Picture("/broadcasts/new/{issue_id}"),
    "watch": Picture("/broadcasts/{broadcast_id}"),
    "watch-phone": Picture("/broadcasts/{broadcast_id}", PHONE),
    "reports": Picture("/reports"),
    "people": Picture("/subscribers"),
    "person": Picture("/subscribers/{subscriber_id}"),
    "segment": Picture("/segments/{segment_id}"),
    "import": Picture("/imports/{import_id}"),
    "look": Picture("/settings/newsletters/{newsletter_id}/look", scheme="dark"),
}
