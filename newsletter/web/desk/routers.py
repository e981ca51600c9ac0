"""Every room of the desk."""

from newsletter.web.desk import home, login
from newsletter.web.desk.broadcasts.routers import ROUTERS as BROADCASTS
from newsletter.web.desk.guard import DeskRoute
from newsletter.web.desk.people.routers import ROUTERS as PEOPLE
from newsletter.web.desk.reports.routers import ROUTERS as REPORTS

ROUTERS = (
    home.router,
    login.router,
    *BROADCASTS,
    *PEOPLE,
    *REPORTS,
)

ROOMS = frozenset(
    route.path.split("/")[1]
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, DeskRoute)
)
"""First parts of paths: how much a page of the desk takes, its guard says."""
