-- When a breaker opens, probes and closes. The in-process breaker has the same rules in
-- circuit_breaker/state_machine.py.
local state_machine = {}

local BUCKETS = 10
-- Index, calls and failures: as wide for the first call as for the millionth.
local BUCKET = "%011.0f:%06.0f:%06.0f"

local function bucket(b, position)
  local index, calls, failures = string.match(b["bucket_" .. position] or "", "^(%d+):(%d+):(%d+)$")
  return tonumber(index) or 0, tonumber(calls) or 0, tonumber(failures) or 0
end

-- Adds outcomes to the window; returns the calls and failures in it, including these.
local function add_to_window(b, now, new_calls, new_failures)
  local current = math.floor(now / (b.window_ms / BUCKETS))
  local position = current % BUCKETS
  local index, calls, failures = bucket(b, position)
  if index ~= current then
    calls, failures = 0, 0
  end
  calls, failures = calls + new_calls, failures + new_failures
  b["bucket_" .. position] = string.format(BUCKET, current, calls, failures)
  for other = 0, BUCKETS - 1 do
    local at, more_calls, more_failures = bucket(b, other)
    if other ~= position and at > current - BUCKETS and at <= current then
      calls, failures = calls + more_calls, failures + more_failures
    end
  end
  return calls, failures
end

-- Whether the streak opens the breaker. `quorum` is a function from callers.quorum.
function state_machine.streak_trips(b, quorum)
  return b.consecutive_failures >= b.failure_threshold and quorum("streak")
end

-- Why a closed breaker must open now, or nil.
local function trip_reason(b, calls, failures, new_failures, quorum)
  -- A success may find a streak that a lower threshold has made long enough.
  if new_failures > 0 and state_machine.streak_trips(b, quorum) then
    return string.format("%.0f failures in a row", b.consecutive_failures)
  end
  local rate = b.failure_rate_threshold
  local exceeded = rate and failures > 0 and calls >= b.minimum_calls and failures / calls >= rate
  if exceeded and quorum("window") then
    return string.format("%.0f of %.0f calls failed within the window", failures, calls)
  end
  return nil
end

local function transition(b, state, now)
  b.state = state
  b.generation = b.generation + 1
  b.probe_successes = 0
  b.changed_at = now
end

-- With a backoff multiplier, each consecutive opening lasts longer than the one before it.
function state_machine.open(b, now)
  local longest = math.max(b.max_recovery_timeout_ms, b.recovery_timeout_ms)
  local wait =
    math.min(b.recovery_timeout_ms * b.backoff_multiplier ^ b.consecutive_openings, longest)
  transition(b, "open", now)
  b.consecutive_openings = b.consecutive_openings + 1
  b.opened_at = now
  b.retry_at = now + math.floor(wait)
end

function state_machine.half_open(b, now)
  transition(b, "half_open", now)
end

function state_machine.clear_window(b)
  for position = 0, BUCKETS - 1 do
    b["bucket_" .. position] = string.format(BUCKET, 0, 0, 0)
  end
end

-- Closes the breaker with nothing counted, as after recovery and after a reset.
function state_machine.close(b, now)
  transition(b, "closed", now)
  b.consecutive_failures = 0
  b.streak_started_at = 0
  b.consecutive_openings = 0
  b.retry_at = 0
  state_machine.clear_window(b)
end

-- Counts outcomes of a closed breaker. If they open it, returns the event's kind and reason.
function state_machine.record_calls(b, now, new_calls, new_failures, quorum)
  local calls, failures = add_to_window(b, now, new_calls, new_failures)
  local reason = trip_reason(b, calls, failures, new_failures, quorum)
  if reason then
    state_machine.open(b, now)
    return "breaker_opened", reason
  end
  return nil
end

-- Counts a probe's outcome. If it causes a transition, returns the event's kind and reason.
function state_machine.record_probe(b, now, outcome)
  if outcome == "failure" then
    state_machine.open(b, now)
    return "breaker_opened", "the probe failed"
  end
  b.probe_successes = b.probe_successes + 1
  if b.probe_successes >= b.success_threshold then
    local reason = string.format("%.0f probes succeeded", b.probe_successes)
    state_machine.close(b, now)
    return "breaker_closed", reason
  end
  return nil
end

return state_machine
