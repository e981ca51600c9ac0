"""Every room of the desk."""

from newsletter.web.desk import home, login
from newsletter.web.desk.guard import DeskRoute
from newsletter.web.desk.issues import (
    beginning,
    edit,
    entries,
    history,
    pictures,
    preview,
    saving,
)
from newsletter.web.desk.issues import index as issues
from newsletter.web.desk.reports import broadcast as report
from newsletter.web.desk.reports import growth, over_time

ROUTERS = (
    home.router,
    login.router,
    issues.router,
    beginning.router,  # before those whose path it would be an id in
    edit.router,
    saving.router,
    preview.router,
    entries.router,
    pictures.router,
    history.router,
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
