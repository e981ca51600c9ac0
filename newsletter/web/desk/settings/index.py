"""`/settings`: what can be set, for whom."""

from fastapi import Request, Response

from newsletter.accounts.permissions import Permission
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import go, page

router = desk_router()


@router.get("/settings")
@needs(Permission.SETTINGS)
def index(request: Request, editor: Seated) -> Response:
    """The newsletter's own, then the installation's; before the first newsletter, its form."""
    if editor.newsletter_id is None:
        return go(request, "/settings/newsletters/new")
    return page(request, "settings/index.html")
