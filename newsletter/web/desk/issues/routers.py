"""The rooms of issues, in the order in which paths are looked up."""

from newsletter.web.desk.issues import (
    beginning,
    edit,
    entries,
    history,
    index,
    one_picture,
    pictures,
    preview,
    saving,
)

ROUTERS = (
    index.router,
    beginning.router,  # before `edit`: `new` is nobody's number
    edit.router,
    saving.router,
    preview.router,
    entries.router,
    pictures.router,
    one_picture.router,
    history.router,
)
