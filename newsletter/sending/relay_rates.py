"""The rates that relays are slowed down to: known outside of the sender only where it is shared."""

from collections.abc import Mapping

from newsletter.core.config import Settings
from newsletter.sending.ratelimit import Limit, relay_bucket


async def throttled_rates(settings: Settings) -> Mapping[str, float]:
    """Messages per second by relay, of those that are held back; empty without a broker."""
    if settings.embedded:
        return {}
    from newsletter.sending.ratelimit_redis import limiter_for

    limiter = limiter_for(settings, lambda: 1.0)
    try:
        limits = {relay.name: Limit.of(relay) for relay in settings.relays}
        rates = {
            name: await limiter.current(relay_bucket(name), limit) for name, limit in limits.items()
        }
    finally:
        await limiter.aclose()
    return {
        name: rate
        for name, rate in rates.items()
        if rate is not None and rate != limits[name].per_second
    }
