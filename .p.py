from pathlib import Path
def sub(path, *pairs):
    p=Path(path); t=p.read_text()
    for a,b in pairs:
        assert t.count(a)==1,(path,a,t.count(a))
        t=t.replace(a,b)
    p.write_text(t)
sub("newsletter/broadcasts/approval.py",
('''    if broadcast.asked_by == by:
''','''    if is_same_person(broadcast.asked_by, by):
'''),
('''def is_as_asked(''','''def is_same_person(one: str, other: str) -> bool:
    """Of two actors of the audit trail; users stay themselves with another address."""
    return _person(one) == _person(other)


def _person(actor: str) -> str:
    return actor.partition(":")[0] if actor.startswith("user ") else actor


def is_as_asked('''),
)
sub("newsletter/broadcasts/planning.py",
('''    earlier = session.execute(
        select(Broadcast, SubscriberList.slug)
''','''    earlier = sent_before(session, issue.id, [chosen.id for chosen in lists])
    if earlier:
        raise AlreadySentError(issue, earlier[0][1].slug, earlier[0][0])


def sent_before(
    session: Session, issue_id: int, list_ids: Sequence[int]
) -> Sequence[tuple[Broadcast, SubscriberList]]:
    """Of these lists those that have the issue or are about to get it, and by which broadcast."""
    rows = session.execute(
        select(Broadcast, SubscriberList)
'''),
('''            Broadcast.issue_id == issue.id,
            _counts_as_sent(),
            BroadcastList.list_id.in_([chosen.id for chosen in lists]),
        )
    ).first()
    if earlier is not None:
        raise AlreadySentError(issue, earlier.slug, earlier.Broadcast)
''','''            Broadcast.issue_id == issue_id,
            _counts_as_sent(),
            BroadcastList.list_id.in_(list_ids),
        )
        .order_by(Broadcast.id, BroadcastList.position)
    )
    return [(row[0], row[1]) for row in rows]
'''),
)
# guard
sub("newsletter/web/desk/guard.py",('''def _id(value: str)''','''async def still_allowed(request: Request, permission: Permission) -> bool:
    """Asked again by an answer that goes on for long: whether they may still read it."""
    editor = await run_in_threadpool(_seated, request)
    if editor is None:
        return False
    request.state.editor = editor
    try:
        _check_permission(request, permission)
    except HTTPException:
        return False
    return True


def _id(value: str)'''))
