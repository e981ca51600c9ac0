"""What is done once a day, in both modes: people and counts whose time is over go."""

from newsletter.core.runtime import Runtime
from newsletter.privacy.unconfirmed import forget_unconfirmed


def keep_house(runtime: Runtime) -> None:
    """Harmless to do twice, or at once by several, or to skip for a day."""
    forget_unconfirmed(runtime.sessions, runtime.settings)
