"""The rooms of people, in the order in which paths are looked up."""

from newsletter.web.desk.people import (
    adding,
    addresses,
    erasing,
    finding,
    import_steps,
    imports,
    lists,
    person,
    segments,
    suppression_files,
    suppressions,
)

ROUTERS = (
    finding.router,
    adding.router,  # before `person`: `new` is nobody's number
    addresses.router,
    person.router,
    erasing.router,
    lists.router,
    segments.router,
    imports.router,
    import_steps.router,
    suppressions.router,
    suppression_files.router,
)
