"""Every room of the desk."""

from newsletter.web.desk import home, login
from newsletter.web.desk.broadcasts import asking, index, showing, steering, streaming, trying
from newsletter.web.desk.guard import DeskRoute
from newsletter.web.desk.reports import broadcast as report
from newsletter.web.desk.reports import growth, over_time

ROUTERS = (
    home.router,
    login.router,
    index.router,
    asking.router,  # before `showing`: "new" is no broadcast
    trying.router,
    showing.router,
    steering.router,
    streaming.router,
    over_time.router,
    growth.router,
    report.router,
)

ROOMS = frozenset(
    route.path.split("/")[1]
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, DeskRoute)
)
"""First parts of paths: how much a page of the desk takes, its guard says."""
