"""The ledger's statements, on both databases: every move, every fence."""

from datetime import timedelta
from itertools import product

import pytest
from sqlalchemy import func, select, update
from tests.factories import a_broadcast, a_delivery, a_list, a_subscriber, a_subscription

from newsletter.broadcasts import accounting, ledger
from newsletter.broadcasts.ledger import Outcome
from newsletter.broadcasts.models import (
    DELIVERY_MOVES,
    Broadcast,
    BroadcastState,
    Delivery,
    DeliveryLog,
    DeliveryState,
)
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.mail.replies import Reply
from subscribers import suppressions
from subscribers.models import Subscription, SubscriptionStatus, SuppressionReason
