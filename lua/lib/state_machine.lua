-- How a breaker opens, probes and closes. The in-process breaker has the same rules in
-- circuit_breaker/state_machine.py.
local state_machine = {}

local function transition(b, state, now)
  b.state = state
  b.generation = b.generation + 1
  b.probe_successes = 0
  b.changed_at = now
end

-- With a backoff multiplier, each consecutive opening lasts longer than the one before it. Returns
-- the event's kind.
function state_machine.open(b, now)
  local longest = math.max(b.max_recovery_timeout_ms, b.recovery_timeout_ms)
  local wait =
    math.min(b.recovery_timeout_ms * b.backoff_multiplier ^ b.consecutive_openings, longest)
  transition(b, "open", now)
  b.consecutive_openings = b.consecutive_openings + 1
  b.opened_at = now
  b.retry_at = now + math.floor(wait)
  return "breaker_opened"
end

function state_machine.half_open(b, now)
  transition(b, "half_open", now)
end

-- Closes the breaker with nothing counted, as after recovery and after a reset.
function state_machine.close(b, now)
  transition(b, "closed", now)
  b.consecutive_failures = 0
  b.streak_started_at = 0
  b.consecutive_openings = 0
  b.retry_at = 0
  b.window, b.window_past = "", ""
end

-- Counts a probe's outcome. If it causes a transition, returns the event's kind and reason.
function state_machine.record_probe(b, now, outcome)
  if outcome == "failure" then
    return state_machine.open(b, now), "the probe failed"
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
