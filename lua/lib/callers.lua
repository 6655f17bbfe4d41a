-- Which processes call a provider and which of them fail: called|process and failed|process -> the
-- time of the latest call. Also local trips: process -> the time until which it refuses alone.
local callers = {}

local FAILED = "failed|"
local BUCKETS = 10

-- How many processes have a member with this prefix at `since` or later. If `process` is given,
-- it is counted whether or not it is written yet.
local function count(key, prefix, since, process)
  local number = process and 1 or 0
  local found = redis.pcall("ZRANGEBYSCORE", key, string.format("%.3f", since), "+inf")
  for _, member in ipairs(found.err and {} or found) do
    local other = not process or member ~= prefix .. process
    if other and string.sub(member, 1, #prefix) == prefix then
      number = number + 1
    end
  end
  return number
end

-- A function that returns whether enough processes have failed in the "streak" or the "window".
-- The window needs failures of two processes if two or more are calling. `process` is calling, and
-- failing if `failing` is true, though its call is not written yet.
function callers.quorum(key, b, now, process, failing)
  local failed = failing and process or nil
  return function(part)
    local least, since = b.min_failing_processes, b.streak_started_at
    if part == "window" then
      local first = math.floor(now / (b.window_ms / BUCKETS)) - BUCKETS + 1
      since = first * b.window_ms / BUCKETS
      least = math.max(least, count(key, "called|", since, process) > 1 and 2 or 1)
    end
    return least <= 1 or count(key, FAILED, since, failed) >= least
  end
end

-- Adds members and keeps the key for at least `keep` milliseconds. A key of another type is
-- replaced.
local function write(key, keep, ...)
  if type(redis.pcall("ZADD", key, ...)) ~= "number" then
    redis.call("DEL", key)
    redis.call("ZADD", key, ...)
  end
  if redis.call("PTTL", key) < keep then
    redis.call("PEXPIRE", key, string.format("%.0f", keep))
  end
end

-- Records a call that counted, and whether it failed. Removes what neither the window nor the
-- current streak needs.
function callers.record(key, b, now, process, failed)
  local at = string.format("%.0f", now)
  if failed then
    write(key, b.retention_ms, at, "called|" .. process, at, FAILED .. process)
  else
    write(key, b.retention_ms, at, "called|" .. process)
  end
  local since = now - b.window_ms
  if b.consecutive_failures > 0 then
    since = math.min(since, b.streak_started_at)
  end
  redis.call("ZREMRANGEBYSCORE", key, "-inf", string.format("(%.0f", since))
end

-- Clears the window: only the processes that have failed in the current streak stay.
function callers.clear_window(key, b)
  local found = redis.pcall("ZRANGE", key, 0, -1, "WITHSCORES")
  if found.err then
    redis.call("DEL", key)
    return
  end
  for i = 1, #found, 2 do
    local failed = string.sub(found[i], 1, #FAILED) == FAILED
    local needed = failed
      and b.consecutive_failures > 0
      and tonumber(found[i + 1]) >= b.streak_started_at
    if not needed then
      redis.call("ZREM", key, found[i])
    end
  end
end

-- Records that this process alone refuses the provider for `duration` ms; 0 ends the local trip.
function callers.trip_local(key, b, now, process, duration)
  if duration > 0 then
    write(key, duration + b.retention_ms, string.format("%.0f", now + duration), process)
  else
    redis.pcall("ZREM", key, process)
  end
end

return callers
