"""The rooms of settings, in the order in which paths are looked up."""

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
    index.router,
    newsletters.router,
    look.router,
    relays.router,
    users.router,
    tokens.router,
    audit_trail.router,
)
