-- When a closed breaker must open. The in-process breaker has the same rules in
-- circuit_breaker/trip_conditions.py. `quorum` is a function from callers.quorum.
local trip_conditions = {}

-- Whether the streak opens the breaker.
function trip_conditions.streak(b, quorum)
  return b.consecutive_failures >= b.failure_threshold and quorum("streak")
end

-- Why it must open now, with these calls and failures in its window, or nil. Only a call that fails
-- opens it by the streak: a success may find one that a lower threshold has made long enough.
function trip_conditions.reason(b, quorum, fails, calls, failures)
  if fails and trip_conditions.streak(b, quorum) then
    return string.format("%.0f failures in a row", b.consecutive_failures)
  end
  local rate = tonumber(b.failure_rate_threshold)
  local exceeded = rate
    and rate > 0
    and failures > 0
    and calls >= b.minimum_calls
    and failures / calls >= rate
  if exceeded and quorum("window") then
    return string.format("%.0f of %.0f calls failed within the window", failures, calls)
  end
  return nil
end

return trip_conditions
