-- The token bucket of ratelimit_memory.py, kept in one hash and timed by this server's clock.
--
-- KEYS[1]  the bucket
-- ARGV     what to do (take, give_back, throttled, current), its number (messages or rate),
--          rate per second ('' for none), burst, seconds to stay closed (0: open),
--          recovery per second, seconds in which throttling counts once, slowest rate
-- returns  messages granted, microseconds to wait, effective rate ('' for none),
--          1 when that rate is a throttled one
local key, verb, number = KEYS[1], ARGV[1], tonumber(ARGV[2])
local limit, burst, closed = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local recovery, settle, slowest = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

local LONGEST_CLOSED_SECONDS = 60
local SHORTEST_LIFE_SECONDS = 600

local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local stored = redis.call('HMGET', key, 'tokens', 'at', 'capacity', 'slow', 'slow_at', 'full')
local known = stored[2] ~= false
local tokens, at, capacity = tonumber(stored[1] or 0), tonumber(stored[2] or now), tonumber(stored[3] or 0)
local slow, slow_at, full = tonumber(stored[4] or ''), tonumber(stored[5] or now), tonumber(stored[6] or '')

-- Somebody set this server's clock back: what was to end in a moment must not last for hours.
if at > now + LONGEST_CLOSED_SECONDS then at = now end
if slow_at > now then slow_at = now end

local function text(value)
  return value and string.format('%.17g', value) or ''
end

local function effective()
  if not slow then return limit end
  local rate = slow + full * recovery * (now - slow_at)
  if rate < (limit or full) then return rate end
  return limit
end

local function size(rate)
  if not limit then return math.max(1, rate) end
  if rate < limit then return math.max(1, math.min(burst, rate)) end
  return burst
end

local function keep(rate)
  redis.call('HSET', key, 'tokens', text(tokens), 'at', text(at), 'capacity', text(capacity))
  if slow then redis.call('HSET', key, 'slow', text(slow), 'slow_at', text(slow_at), 'full', text(full)) end
  redis.call('EXPIRE', key, math.ceil(SHORTEST_LIFE_SECONDS + capacity / rate))
end

local function answer(granted, wait)
  local rate = effective()
  local throttled = (rate and rate ~= limit) and 1 or 0
  return {granted, math.ceil(wait * 1000000) + 1, text(rate), throttled}
end

if verb == 'take' then
  local rate = effective()
  if not rate then return answer(number, 0) end
  capacity = size(rate)
  tokens = math.min(capacity, tokens + rate * math.max(0, now - at))
  at = math.max(at, now)
  if closed > 0 and at <= now then tokens, at = 0, now + closed end
  local granted = math.min(number, math.floor(tokens))
  if granted < 1 then granted = 0 end
  tokens = tokens - granted
  keep(rate)
  if granted > 0 then return answer(granted, 0) end
  return answer(0, at - now + (1 - tokens) / rate)
end

if verb == 'give_back' then
  if known then
    redis.call('HSET', key, 'tokens', text(math.min(capacity, tokens + number)))
  end
  return answer(0, 0)
end

if verb == 'throttled' and not (slow and now - slow_at < settle) then
  local rate = effective()
  local before = rate or math.max(number, slowest)
  local reach = (slow and rate) and full or before
  slow, slow_at, full = math.max(before / 2, math.min(before, slowest)), now, limit or reach
  tokens, at = 0, math.max(at, now)
  capacity = size(slow)
  keep(slow)
end
return answer(0, 0)
