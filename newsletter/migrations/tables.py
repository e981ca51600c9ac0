"""Every models module, so that the one metadata is complete."""

from newsletter.accounts import models as accounts
from newsletter.bounces import models as bounces
from newsletter.broadcasts import models as broadcasts
from newsletter.core.tables import Base
from newsletter.issues import models as issues
from newsletter.reports import models as reports
from newsletter.sending import models as sending
from newsletter.tracking import models as tracking
from subscribers import models as subscribers
from subscribers.imports.runs import models as import_runs

MODULES = (
    *(subscribers, import_runs, accounts, issues, broadcasts, sending, tracking, bounces),
    reports,
)
METADATA = Base.metadata
