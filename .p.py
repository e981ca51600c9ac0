from pathlib import Path


def sub(path, *pairs):
    p = Path(path)
    t = p.read_text()
    for a, b in pairs:
        assert t.count(a) == 1, (path, a, t.count(a))
        t = t.replace(a, b)
    p.write_text(t)


sub(
    "newsletter/broadcasts/live.py",
    (
        """    why_paused: str
    resume_at""",
        """    pause_reason: PauseReason | None
    pause_detail: str
    resume_at""",
    ),
    (
        """    start_at: datetime
    not_after: datetime
    frozen_at""",
        """    start_at: datetime
    is_at_once: bool
    asked_by: str
    approved_by: str
    segment: str
    not_after: datetime
    frozen_at""",
    ),
    (
        """            why_paused=broadcast.why_paused,
""",
        """            pause_reason=broadcast.pause_reason,
            pause_detail=broadcast.pause_detail,
""",
    ),
    (
        """            start_at=broadcast.start_at,
""",
        """            start_at=broadcast.start_at,
            is_at_once=broadcast.is_at_once,
            asked_by=broadcast.asked_by,
            approved_by=broadcast.approved_by,
            segment=broadcast.segment,
""",
    ),
    (
        """    DeliveryState,
)""",
        """    DeliveryState,
    PauseReason,
)""",
    ),
)
p = Path("newsletter/web/desk/broadcasts/showing.py")
t = p.read_text()
i = t.index("def live_variables(")
j = t.index("def live_parts")
t = (
    t[:i]
    + '''def live_variables(request: Request, seen: Seen) -> dict[str, Any]:
    """What the parts that change are filled with, in page and stream alike; asks no database."""
    standing = seen.standing
    accounts = standing.accounts
    editor: Editor = request.state.editor
    return {
        "seen": seen,
        "standing": standing,
        "accounts": accounts,
        "excluded": sum(accounts.excluded.values()),
        "failed": words.reason_rows(accounts.reasons_of(DeliveryState.FAILED)),
        "skipped": words.reason_rows(accounts.reasons_of(DeliveryState.SKIPPED)),
        "is_stale": standing.not_after <= now(),
        "is_held": standing.state is BroadcastState.SCHEDULED and standing.is_at_once,
        "seconds_to_start": max(0, round((standing.start_at - now()).total_seconds())),
        "is_asker": approval.is_same_person(standing.asked_by, editor.actor),
        "words": words,
        "S": BroadcastState,
    }


'''
    + t[j:]
)
t = t.replace(
    "**live_variables(request, seen, broadcast),", "**live_variables(request, seen),"
).replace("import NOT_BEGUN, Broadcast,", "import Broadcast,")
p.write_text(t)
