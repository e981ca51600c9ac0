"""The pages around leaving: a notice to the owner, a pause instead, a reason afterwards."""

import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import unescape
from pathlib import Path

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from newsletter.core.sections import SenderSettings, TemplateSettings
from newsletter.rendering.mail_tokens import Door, LeaveToken
from newsletter.sending.models import SystemMail
from newsletter.web.app import create_app
from subscribers import reasons
from subscribers.models import ConsentEvent, LeaveReason, Subscription
from tests import factories
from tests.integration.conftest import Mailed, to_undo


def letters(mailed: Mailed) -> list[EmailMessage]:
    with mailed.runtime.sessions.reading() as session:
        wires = session.scalars(select(SystemMail.wire).order_by(SystemMail.id)).all()
    return [message_from_bytes(wire or b"", EmailMessage, policy=policy.default) for wire in wires]


def last_leaving(mailed: Mailed) -> ConsentEvent:
    with mailed.runtime.sessions.reading() as session:
        left = select(ConsentEvent).where(ConsentEvent.change == "unsubscribed")
        return session.scalars(left.order_by(ConsentEvent.id.desc())).first() or ConsentEvent()


def test_the_owner_is_told_once_when_the_link_of_the_body_was_used(mailed: Mailed) -> None:
    answers = [mailed.client.post(mailed.body_link) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {200}
    (letter,) = letters(mailed)
    assert (letter["To"], letter["Subject"]) == ("ada@example.org", "You have left Field Notes")
    text, page = (letter.get_body([kind]).get_content() for kind in ("plain", "html"))
    (undo,) = re.findall(r"http://[^/\s]+(/undo/\S+)", text)
    assert undo in unescape(page)
    assert mailed.client.get(undo).status_code == 200
    assert mailed.client.head(undo).status_code == 200
    assert ["unsubscribed" in status for status in mailed.standing()[0]] == [True, False]
    mailed.client.post(mailed.one_click)  # once more, in another way
    assert mailed.client.post(to_undo(answers[0].text)).status_code == 409, "anybody's"
    assert mailed.client.post(undo).status_code == 200, "the owner's"
    assert ["unsubscribed" in status for status in mailed.standing()[0]] == [False, False]
    mailed.client.post(mailed.body_link)
    assert len(letters(mailed)) == 2, "one for each leaving"


def test_the_evidence_says_by_which_link_of_which_mail_they_went_and_came(mailed: Mailed) -> None:
    mailed.client.post(to_undo(mailed.client.post(mailed.body_link).text))
    mailed.client.post(mailed.one_click)
    with mailed.runtime.sessions.reading() as session:
        found = session.execute(
            select(ConsentEvent.form, ConsentEvent.source).order_by(ConsentEvent.id)
        )
        said = [row.form for row in found if row.source == f"delivery {mailed.delivery_id}"]
    assert said == ["leave: body", "undo: answer", "leave: header"]


def test_an_undo_that_undid_nothing_does_not_say_that_it_did(mailed: Mailed) -> None:
    (undo,) = {
        action
        for action in re.findall(r'action="([^"]+)"', mailed.client.post(mailed.body_link).text)
        if "undo" in action
    }
    assert "As if nothing had happened" in mailed.client.post(undo).text
    before = mailed.standing()
    again = mailed.client.post(undo)
    assert (again.status_code, "There was nothing to undo" in again.text) == (200, True)
    assert "As if nothing" not in again.text
    assert mailed.standing() == before


def test_leaving_to_and_fro_does_not_flood_the_owner(mailed: Mailed) -> None:
    for _ in range(6):
        mailed.client.post(to_undo(mailed.client.post(mailed.body_link).text))
    assert len(letters(mailed)) == 3


def test_one_click_of_the_header_makes_no_letter(mailed: Mailed) -> None:
    mailed.client.post(mailed.one_click, content="List-Unsubscribe=One-Click")
    assert letters(mailed) == []
    assert ["unsubscribed" in status for status in mailed.standing()[0]] == [True, False]


def test_a_notice_that_cannot_be_made_keeps_nobody_from_leaving(
    mailed: Mailed, capsys: pytest.CaptureFixture[str]
) -> None:
    runtime = factories.runtime(
        mailed.runtime.sessions, mailed.runtime.keys, sender=SenderSettings()
    )
    with TestClient(create_app(runtime)) as client:
        assert client.post(mailed.body_link).status_code == 200
    assert ["unsubscribed" in status for status in mailed.standing()[0]] == [True, False]
    assert "notice.failed" in capsys.readouterr().out
    assert letters(mailed) == []


@pytest.mark.parametrize(
    "mistake",
    ["{{ hours + 'x' }}", "{{ 1 // 0 }}", "{{ hours.x }}", "{{ [].index(1) }}", "{{"],
)
def test_a_mistake_in_an_operators_template_keeps_nobody_from_leaving(
    mailed: Mailed, capsys: pytest.CaptureFixture[str], tmp_path: Path, mistake: str
) -> None:
    (tmp_path / "system").mkdir()
    (tmp_path / "system" / "left.txt").write_text(mistake)
    own = TemplateSettings(dir=tmp_path)
    runtime = factories.runtime(mailed.runtime.sessions, mailed.runtime.keys, templates=own)
    with TestClient(create_app(runtime)) as client:
        assert client.post(mailed.body_link).status_code == 200
    assert ["unsubscribed" in status for status in mailed.standing()[0]] == [True, False]
    assert "system/left.txt" in capsys.readouterr().out, "the log names the file"


def test_a_pause_is_offered_behind_the_button_and_is_one_post(mailed: Mailed) -> None:
    page = mailed.client.get(mailed.body_link).text
    assert page.index("<button>Unsubscribe</button>") < page.index("Pause for a month instead")
    answer = mailed.client.post(f"{mailed.body_link}/pause")
    assert "gets no issue before" in answer.text
    with mailed.runtime.sessions.reading() as session:
        ada, bob = session.scalars(select(Subscription).order_by(Subscription.id))
    assert (ada.status.value, bob.paused_until) == ("active", None)
    assert ada.paused_until
    again = mailed.client.post(f"{mailed.body_link}/pause")
    assert again.text == answer.text
    assert mailed.standing()[1] == 3, "the second changed nothing"


def test_why_is_asked_afterwards_and_kept_with_the_evidence(mailed: Mailed) -> None:
    why = {"reason": "too_often", "remark": " Daily would do.\0 <b>\U0001f600" + "x" * 600}
    assert mailed.client.post(f"{mailed.body_link}/reason", data=why).status_code == 200
    assert last_leaving(mailed).id is None, "who has not left has no reason"
    left = mailed.client.post(mailed.body_link)
    assert f'action="{mailed.body_link}/reason"' in left.text
    why["undo"] = to_undo(left.text).rpartition("/")[2]
    answer = mailed.client.post(f"{mailed.body_link}/reason", data=why)
    assert to_undo(answer.text) == to_undo(left.text), "who says why may still take it back"
    assert "The editors will read it" in answer.text
    kept = last_leaving(mailed)
    assert kept.reason is LeaveReason.TOO_OFTEN
    assert kept.remark.startswith("Daily would do. <b>\U0001f600")
    assert len(kept.remark) == 500
    with mailed.runtime.sessions.reading() as session:
        ((said, slug),) = reasons.said(session)
    assert (said.id, slug) == (kept.id, "mornings")
    nothing = mailed.client.post(f"{mailed.body_link}/reason", data={"reason": "nonsense"})
    assert nothing.status_code == 200
    assert (last_leaving(mailed).reason, last_leaving(mailed).remark) == (None, "")


@pytest.mark.parametrize("path", ["", "/pause", "/reason", "/nothing"])
def test_looking_at_any_of_it_changes_nothing(mailed: Mailed, path: str) -> None:
    before = mailed.standing()
    for method in ("GET", "HEAD", "OPTIONS"):
        assert mailed.client.request(method, mailed.body_link + path).status_code < 500
    assert (mailed.standing(), letters(mailed)) == (before, [])


def test_a_token_of_the_wrong_person_gives_no_event(mailed: Mailed) -> None:
    """As from the preferences page: no mail is certain, so none is named."""
    token = LeaveToken(Door.BODY, 1, 1, 0, 0).mint(mailed.runtime.keys)
    undo = to_undo(mailed.client.post(f"/u/{token}").text)
    assert mailed.client.post(undo).status_code == 200
