"""Every room of the desk."""

from newsletter.web.desk import home, invitation, login, outside_pictures, set_up
from newsletter.web.desk.account import profile, second_factor
from newsletter.web.desk.broadcasts.routers import ROUTERS as BROADCASTS
from newsletter.web.desk.guard import DeskRoute
from newsletter.web.desk.issues.routers import ROUTERS as ISSUES
from newsletter.web.desk.people.routers import ROUTERS as PEOPLE
from newsletter.web.desk.reports.routers import ROUTERS as REPORTS
from newsletter.web.desk.settings.routers import ROUTERS as SETTINGS

ROUTERS = (
    home.router,
    login.router,
    set_up.router,
    invitation.router,
    outside_pictures.router,
    profile.router,
    second_factor.router,
    *BROADCASTS,
    *ISSUES,
    *PEOPLE,
    *REPORTS,
    *SETTINGS,
)

ROOMS = frozenset(
    route.path.split("/")[1]
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, DeskRoute)
)
"""First parts of paths: how much a page of the desk takes, its guard says."""
