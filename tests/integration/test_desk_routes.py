"""Who gets where: every route of the desk with every role, against a table that people read."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from httpx2 import Response
from sqlalchemy import select
from starlette.testclient import TestClient

from newsletter.accounts.permissions import ALLOWED, ALLOWED_EVERYWHERE, Permission, Role
from newsletter.issues.models import Newsletter
from newsletter.web.desk.guard import DeskRoute, desk_router, needs, rule_of
from newsletter.web.desk.routers import ROUTERS
from newsletter.web.desk.things import NEWSLETTERS_OF
from newsletter.web.public import archive
from tests.desk import ORIGIN, Seat, log_in, stranger
from tests.furnished.house import House, furnished, paths_of

TABLE = Path(__file__).parents[1] / "data" / "desk_routes.txt"
ROUTES = [route for router in ROUTERS for route in router.routes if isinstance(route, DeskRoute)]
NO_FORM = {"Content-Type": "multipart/form-data", "Origin": ORIGIN}
"""The guard refuses to read it (422) only after it has let somebody in."""
STRANGERS = {200, 303, 404, 422}
ELSEWHERE = "admin of another newsletter"


def line(route: DeskRoute) -> str:
    permission = rule_of(route.endpoint).permission
    return f"{'/'.join(sorted(route.methods or ()))} {route.path} {permission or 'anybody'}"


LINES = sorted((line(route) for route in ROUTES), key=lambda row: row.split()[1::-1])


@dataclass
class Office:
    """One browser for each role, at the desk of a furnished installation."""

    house: House
    seats: dict[str, Seat]
    stranger: TestClient

    def ask(self, client: TestClient, route: DeskRoute) -> Response:
        path = paths_of(route.path, self.house.things)[0]
        if "POST" in (route.methods or ()):
            return client.post(path, content=b"--x", headers=NO_FORM)
        with client.stream("GET", path) as answer:
            return answer


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Office]:
    file = tmp_path_factory.mktemp("office") / "newsletter.db"
    file.write_bytes(sqlite_template.read_bytes())
    with ExitStack() as stack:
        house = stack.enter_context(furnished(f"sqlite:///{file}"))
        ours = int(house.things["newsletter_id"][0])
        with house.runtime.sessions.reading() as session:
            others = session.scalars(select(Newsletter.id).where(Newsletter.id != ours))
            other = next(iter(others))
        places: dict[str, tuple[Role, int | None]] = {
            **{str(role): (role, ours) for role in Role},
            "admin of everything": (Role.ADMIN, None),
            ELSEWHERE: (Role.ADMIN, other),
        }
        seats = {
            name: stack.enter_context(log_in(house.runtime, role, where))
            for name, (role, where) in places.items()
        }
        yield Office(house, seats, stack.enter_context(stranger(house.runtime)))


def test_the_table_of_routes_is_the_one_that_was_read() -> None:
    assert TABLE.read_text().splitlines() == LINES, "look at what changed, then write it anew"


def test_no_route_is_beside_the_guard(office: Office) -> None:
    app = office.seats[Role.AUTHOR].client.app
    unguarded = [
        route.path
        for route in app.routes  # type: ignore[attr-defined]
        if isinstance(route, APIRoute) and not isinstance(route, DeskRoute)
        if not route.endpoint.__module__.startswith("newsletter.web.public.")
    ]
    assert unguarded == []
    assert archive.router.routes, "and there are public ones"


def test_a_route_that_says_nothing_cannot_be_made() -> None:
    router = desk_router()

    def silent() -> None: ...

    with pytest.raises(TypeError, match="does not say what it needs"):
        router.get("/silent")(silent)
    with pytest.raises(TypeError, match="nobody said whose 'parcel_id' is"):
        router.get("/parcels/{parcel_id}")(needs(Permission.READ)(silent))


@pytest.mark.parametrize("route", ROUTES, ids=line)
def test_who_gets_where(office: Office, route: DeskRoute) -> None:
    permission = rule_of(route.endpoint).permission
    if permission is None:
        at_the_door = office.ask(office.stranger, route)
        assert at_the_door.status_code in STRANGERS, "no permission is asked for"
        assert "?next=" not in at_the_door.headers.get("location", "")
        return
    at_the_door = office.ask(office.stranger, route)
    assert at_the_door.status_code == 303
    assert at_the_door.headers["location"].startswith("/login")
    for name, seat in office.seats.items():
        status = office.ask(seat.client, route).status_code
        assert status == expected(name, permission, route, status), name


def expected(name: str, permission: Permission, route: DeskRoute, found: int) -> int:
    """The status that somebody is to get; of those let in, what the page makes of it."""
    if name == ELSEWHERE and set(route.param_convertors) & set(NEWSLETTERS_OF):
        return 404
    everywhere = name == "admin of everything"
    allowed = ALLOWED_EVERYWHERE[Role.ADMIN] if everywhere else ALLOWED[_role(name)]
    if permission not in allowed:
        return 403
    if "POST" in (route.methods or ()):
        return 422
    return found if found in {200, 204, 303, 404} else 200


def _role(name: str) -> Role:
    return Role.ADMIN if name == ELSEWHERE else Role(name)
