"""Every room of the desk."""

from newsletter.web.desk import home, login
from newsletter.web.desk.guard import DeskRoute
from newsletter.web.desk.people import adding, erasing, finding, lists, person, segments

ROUTERS = (
    home.router,
    login.router,
    finding.router,
    adding.router,  # before `person`: `new` is nobody's number
    person.router,
    erasing.router,
    lists.router,
    segments.router,
)

ROOMS = frozenset(
    route.path.split("/")[1]
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, DeskRoute)
)
"""First parts of paths: how much a page of the desk takes, its guard says."""
