-- Successes that change nothing but counters, as nearly all do: the breaker is closed, without a
-- streak, an override or a failure in its window, and its process has called in the current bucket.
-- The rules are those of the other files of lib, which take four times as long for them.
local plain_success = {}

local BUCKETS = 10
local MOST = 2 ^ 53

-- Whether the fields of a breaker are those of a closed one that is neither failing nor overridden.
local function is_plain(found, now, generation)
  for i = 1, 5 do
    local setting = tonumber(found[i])
    if not (setting and setting > 0 and setting <= MOST) then
      return false
    end
  end
  for i = 6, 8 do
    local time = tonumber(found[i])
    if not (time and time <= now) then
      return false
    end
  end
  local sound = found[9] == "closed" and found[10] == "" and found[11] == "0"
  return sound and (generation == "" or generation == found[12])
end

-- Reads what successes of a process make of a breaker, which this generation admitted: the texts of
-- the changed fields and the retention; nil if they are not plain.
function plain_success.read(key, callers_key, process, now, successes, generation)
  -- Five settings, without which the breaker must be configured; three times; then texts.
  -- stylua: ignore
  local found = redis.pcall(
    "HMGET", key,
    "window_ms", "retention_ms", "failure_threshold", "minimum_calls", "min_failing_processes",
    "cooldown_until", "override_until", "retry_at",
    "state", "override", "consecutive_failures", "generation", "total_successes", "window"
  )
  if found.err or not is_plain(found, now, generation) then
    return nil
  end
  local width, retention, total = found[1] / BUCKETS, tonumber(found[2]), tonumber(found[13])
  local number, calls, earlier = string.match(found[14] or "", "^(%d+):(%d+):000000 (%d+:000000)$")
  local current = math.floor(now / width)
  if not (total and total >= 0 and total < MOST and tonumber(number) == current) then
    return nil
  end
  local at = redis.pcall("ZSCORE", callers_key, "called|" .. process)
  at = type(at) == "string" and tonumber(at)
  if not (at and at >= current * width and at <= now and now - at < retention / 2) then
    return nil
  end
  total = string.format("%.0f", total + successes)
  local window = string.format("%s:%06.0f:000000 %s", number, calls + successes, earlier)
  return { total = total, window = window, retention = retention }
end

-- Writes that, and renews the expiry as `lib/breaker` does.
function plain_success.write(key, one)
  local retention = one.retention
  redis.call("HSET", key, "total_successes", one.total, "window", one.window)
  local left = redis.call("PTTL", key)
  if left > retention or left <= retention - math.min(retention / 10, 1000) then
    redis.call("PEXPIRE", key, string.format("%.0f", retention))
  end
end

return plain_success
