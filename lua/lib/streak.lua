-- The streak of consecutive failures. Calls count at the time when they ended, whenever they are
-- reported. The in-process breaker has the same rules in circuit_breaker/state_machine.py.
local streak = {}

local WARNING_INTERVAL_MS = 1000

function streak.failed(b, now)
  if b.consecutive_failures == 0 then
    b.streak_started_at = now
  end
  b.consecutive_failures = b.consecutive_failures + 1
  b.last_failure_at = now
end

-- Counts a success that ended at `at`, now or earlier. A success within the streak leaves one
-- failure: of those after it, only the latest is known.
function streak.succeeded(b, at)
  if b.consecutive_failures == 0 then
    return
  elseif at >= b.last_failure_at then
    b.consecutive_failures, b.streak_started_at = 0, 0
  elseif at > b.streak_started_at then
    b.consecutive_failures, b.streak_started_at = 1, b.last_failure_at
  end
end

-- Adds failures of one process whose times are unknown. last_failure_at stays, so that a success
-- reported later can still end the streak.
function streak.merged(b, now, failures)
  if b.consecutive_failures == 0 and failures > 0 then
    b.streak_started_at = now
  end
  b.consecutive_failures = b.consecutive_failures + failures
end

-- The reason of a warning that the streak is at least half-way to the threshold, or nil. Followers
-- get one warning a second at most.
function streak.warning(b, now)
  local short = b.consecutive_failures < math.ceil(b.failure_threshold / 2)
  if short or math.abs(now - b.warned_at) < WARNING_INTERVAL_MS then
    return nil
  end
  b.warned_at = now
  return string.format("%.0f failures in a row", b.consecutive_failures)
end

return streak
