"""The rooms of broadcasts, in the order in which paths are looked up."""

from newsletter.web.desk.broadcasts import (
    asking,
    index,
    showing,
    steering,
    streaming,
    trying,
)

ROUTERS = (
    index.router,
    asking.router,  # before `showing`: `new` is no broadcast
    trying.router,
    showing.router,
    steering.router,
    streaming.router,
)
