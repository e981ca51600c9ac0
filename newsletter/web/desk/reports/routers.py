"""The rooms of reports, in the order in which paths are looked up."""

from newsletter.web.desk.reports import broadcast, growth, over_time

ROUTERS = (
    over_time.router,
    growth.router,
    broadcast.router,
)
