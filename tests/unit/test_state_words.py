"""One word for each state, on every page that shows it."""

from newsletter.broadcasts.issue_states import IssueState
from newsletter.broadcasts.models import BroadcastState, DeliveryState
from newsletter.web.desk.broadcasts import words as sending
from newsletter.web.desk.issues import words as issues
from newsletter.web.desk.people import segment_words
from newsletter.web.desk.people import words as people
from subscribers.models import SubscriptionStatus


def test_an_issue_and_its_broadcast_stand_at_the_same_word() -> None:
    texts = {state: text for state, (text, _tone) in issues.states().items()}
    for issue, broadcast in {
        IssueState.AWAITING_APPROVAL: BroadcastState.AWAITING_APPROVAL,
        IssueState.SCHEDULED: BroadcastState.SCHEDULED,
        IssueState.SENDING: BroadcastState.SENDING,
        IssueState.SENT: BroadcastState.DONE,
    }.items():
        assert texts[issue] == sending.state_text(broadcast)
    every = [sending.state_text(state) for state in BroadcastState]
    assert len(set(every)) == len(every)


def test_a_subscription_has_the_same_word_in_a_list_a_segment_and_a_reason() -> None:
    statuses = people.statuses()
    assert dict(segment_words.choices()["status"]) == {
        status.value: text for status, text in statuses.items()
    }
    assert statuses[SubscriptionStatus.UNSUBSCRIBED].lower() == sending.reason_text("unsubscribed")
    assert statuses[SubscriptionStatus.PENDING].lower() == sending.reason_text("unconfirmed")


def test_every_state_of_a_mail_has_a_word() -> None:
    assert set(sending.delivery_states()) == set(DeliveryState)
