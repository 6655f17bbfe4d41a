-- When a breaker opens, probes and closes. For one process, the same is in breaker_rules.py.
local rules = {}

local BUCKETS = 10
-- Number of the part, calls, failures: as wide at the first call as at the millionth.
local BUCKET = "%011.0f:%06.0f:%06.0f"

local function bucket(b, slot)
  local index, calls, failures = string.match(b["bucket_" .. slot] or "", "^(%d+):(%d+):(%d+)$")
  return tonumber(index) or 0, tonumber(calls) or 0, tonumber(failures) or 0
end

-- Counts outcomes in the window; its calls and failures, these included.
local function tally(b, now, counted, failed)
  local current = math.floor(now / (b.window_ms / BUCKETS))
  local slot = current % BUCKETS
  local index, calls, failures = bucket(b, slot)
  if index ~= current then
    calls, failures = 0, 0
  end
  calls, failures = calls + counted, failures + failed
  b["bucket_" .. slot] = string.format(BUCKET, current, calls, failures)
  for other = 0, BUCKETS - 1 do
    local at, more_calls, more_failures = bucket(b, other)
    if other ~= slot and at > current - BUCKETS and at <= current then
      calls, failures = calls + more_calls, failures + more_failures
    end
  end
  return calls, failures
end

-- Whether the streak opens it. `enough` answers whether enough processes have failed in the
-- "streak", or in the "window".
function rules.in_a_row(b, enough)
  return b.consecutive_failures >= b.failure_threshold and enough("streak")
end

-- Why a closed breaker must open now, or nil.
local function trips(b, calls, failures, enough)
  if rules.in_a_row(b, enough) then
    return string.format("%.0f failures in a row", b.consecutive_failures)
  end
  local rate = b.failure_rate_threshold
  local sick = rate and failures > 0 and calls >= b.minimum_calls and failures / calls >= rate
  if sick and enough("window") then
    return string.format("%.0f of %.0f calls failed within the window", failures, calls)
  end
  return nil
end

local function decide(b, state, now)
  b.state = state
  b.generation = b.generation + 1
  b.probe_successes = 0
  b.changed_at = now
end

-- Each opening in a row without a close between lasts longer, if there is a multiplier.
function rules.open(b, now)
  local longest = math.max(b.max_recovery_timeout_ms, b.recovery_timeout_ms)
  local wait =
    math.min(b.recovery_timeout_ms * b.backoff_multiplier ^ b.consecutive_openings, longest)
  decide(b, "open", now)
  b.consecutive_openings = b.consecutive_openings + 1
  b.opened_at = now
  b.retry_at = now + math.floor(wait)
end

function rules.half_open(b, now)
  decide(b, "half_open", now)
end

-- An empty window.
function rules.forget(b)
  for slot = 0, BUCKETS - 1 do
    b["bucket_" .. slot] = string.format(BUCKET, 0, 0, 0)
  end
end

-- Closed with nothing counted: what a breaker is after recovery and after a reset.
function rules.close(b, now)
  decide(b, "closed", now)
  b.consecutive_failures = 0
  b.streak_started_at = 0
  b.consecutive_openings = 0
  b.retry_at = 0
  rules.forget(b)
end

-- Outcomes of a closed breaker; the event's kind if they opened it, with the reason.
function rules.called(b, now, calls, failures, enough)
  local all, failed = tally(b, now, calls, failures)
  local reason = trips(b, all, failed, enough)
  if reason then
    rules.open(b, now)
    return "breaker_opened", reason
  end
  return nil
end

-- A probe's outcome; the event's kind if it made a transition, with the reason.
function rules.probed(b, now, outcome)
  if outcome == "failure" then
    rules.open(b, now)
    return "breaker_opened", "the probe failed"
  end
  b.probe_successes = b.probe_successes + 1
  if b.probe_successes >= b.success_threshold then
    local reason = string.format("%.0f probes succeeded", b.probe_successes)
    rules.close(b, now)
    return "breaker_closed", reason
  end
  return nil
end

return rules
