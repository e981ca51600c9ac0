"""Every room of the desk."""

from newsletter.web.desk import home, invitation, login, set_up
from newsletter.web.desk.account import profile, second_factor
from newsletter.web.desk.guard import DeskRoute
from newsletter.web.desk.reports import broadcast as report
from newsletter.web.desk.reports import growth, over_time
from newsletter.web.desk.settings import (
    audit_trail,
    index,
    look,
    newsletters,
    relays,
    tokens,
    users,
)

ROUTERS = (
    home.router,
    login.router,
    set_up.router,
    invitation.router,
    profile.router,
    second_factor.router,
    index.router,
    newsletters.router,
    look.router,
    relays.router,
    users.router,
    tokens.router,
    audit_trail.router,
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
