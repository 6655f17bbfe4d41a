-- Which processes call a provider and which of them fail: called|process -> the time of the latest
-- call, failed|process -> minus the time of the latest failure, so that each kind can be counted
-- without reading it. Also local trips: process -> the time until which it refuses alone.
local damage = require("lib.damage")

local callers = {}

local BUCKETS = 10

-- When the bucket of the window began that was the current one so many buckets ago.
local function beginning(b, now, ago)
  return (math.floor(now / (b.window_ms / BUCKETS)) - ago) * b.window_ms / BUCKETS
end

-- A function that returns whether enough processes have failed in the "streak" or the "window".
-- The window needs failures of two processes if two or more are calling. The call in question must
-- be recorded.
function callers.quorum(key, b, now)
  return function(part)
    local least, since = b.min_failing_processes, b.streak_started_at
    if part == "window" then
      since = beginning(b, now, BUCKETS - 1)
      local calling = redis.call("ZCOUNT", key, string.format("%.3f", since), "+inf")
      least = math.max(least, calling > 1 and 2 or 1)
    end
    local latest = string.format("%.3f", -since)
    return least <= 1 or redis.call("ZCOUNT", key, "-inf", latest) >= least
  end
end

-- Deletes a key of another type. What the server refuses for another reason is no damage.
local function repair(key, reply)
  if type(reply) == "table" and string.find(tostring(reply.err), "WRONGTYPE", 1, true) then
    redis.call("DEL", key)
  end
end

-- Adds members and keeps the key for about `keep` milliseconds, which is renewed when a tenth of
-- it, or a second, has passed. A key of another type is replaced.
local function write(key, keep, ...)
  local reply = redis.pcall("ZADD", key, ...)
  if type(reply) ~= "number" then
    repair(key, reply)
    redis.call("ZADD", key, ...)
  end
  if redis.call("PTTL", key) <= keep - math.min(keep / 10, 1000) then
    redis.call("PEXPIRE", key, string.format("%.0f", keep))
  end
end

-- Removes the calls before one time and the failures before another.
local function remove(key, calls_before, failures_before)
  redis.call("ZREMRANGEBYSCORE", key, "0", calls_before)
  redis.call("ZREMRANGEBYSCORE", key, failures_before, "(0")
end

-- Whether a call of the process is recorded in the current bucket. Recording another one there, and
-- removing old ones once more, would change nothing.
local function is_recorded(key, b, now, called)
  local at = tonumber(damage.pcall("ZSCORE", key, called))
  return at and at >= beginning(b, now, 0) and at <= now and now - at < b.retention_ms / 2
end

-- Records a call that counted, and whether it failed. Removes what neither the window nor the
-- current streak needs.
function callers.record(key, b, now, process, failed)
  local called, at = "called|" .. process, string.format("%.0f", now)
  local recorded = is_recorded(key, b, now, called)
  if failed then
    write(key, b.retention_ms, at, called, "-" .. at, "failed|" .. process)
  elseif not recorded then
    write(key, b.retention_ms, at, called)
  end
  if recorded then
    return
  end
  local since = now - b.window_ms
  if b.consecutive_failures > 0 then
    since = math.min(since, b.streak_started_at)
  end
  remove(key, string.format("(%.0f", since), string.format("(%.0f", -since))
end

-- Clears the window: only the processes that have failed in the current streak stay.
function callers.clear_window(key, b)
  repair(key, redis.pcall("ZCARD", key))
  local streak = b.consecutive_failures > 0 and string.format("(%.0f", -b.streak_started_at)
  remove(key, "+inf", streak or "-inf")
end

-- Records that this process alone refuses the provider for `duration` ms; 0 ends the local trip.
function callers.trip_local(key, b, now, process, duration)
  if duration > 0 then
    write(key, duration + b.retention_ms, string.format("%.0f", now + duration), process)
  else
    damage.pcall("ZREM", key, process)
  end
end

return callers
