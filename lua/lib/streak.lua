-- How many failures in a row there were, by the times of the calls, whenever they are reported.
-- For one process, the same is in breaker_rules.py.
local streak = {}

local HINTS_APART_MS = 1000

function streak.failed(b, now)
  if b.consecutive_failures == 0 then
    b.streak_started_at = now
  end
  b.consecutive_failures = b.consecutive_failures + 1
  b.last_failure_at = now
end

-- A success, at a time that may lie back. In the midst of the streak it leaves what is known to
-- have come after it: the latest failure.
function streak.succeeded(b, at)
  if b.consecutive_failures == 0 then
    return
  elseif at >= b.last_failure_at then
    b.consecutive_failures, b.streak_started_at = 0, 0
  elseif at > b.streak_started_at then
    b.consecutive_failures, b.streak_started_at = 1, b.last_failure_at
  end
end

-- Failures of one process, told together and at an unknown time. They make no success too old to
-- end the streak: last_failure_at stays.
function streak.merged(b, now, failures)
  if b.consecutive_failures == 0 and failures > 0 then
    b.streak_started_at = now
  end
  b.consecutive_failures = b.consecutive_failures + failures
end

-- What to tell followers of a streak that may open the breaker soon; nil if they were just told.
function streak.hint(b, now)
  local short = b.consecutive_failures < math.ceil(b.failure_threshold / 2)
  if short or math.abs(now - b.warned_at) < HINTS_APART_MS then
    return nil
  end
  b.warned_at = now
  return string.format("%.0f failures in a row", b.consecutive_failures)
end

return streak
