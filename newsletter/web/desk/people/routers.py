"""The rooms of people, in the order in which paths are looked up."""

from newsletter.web.desk.people import adding, erasing, finding, lists, person, segments

ROUTERS = (
    finding.router,
    adding.router,  # before `person`: `new` is nobody's number
    person.router,
    erasing.router,
    lists.router,
    segments.router,
)
