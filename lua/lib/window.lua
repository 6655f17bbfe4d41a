-- A breaker's window: calls and failures of its last seconds, in ten buckets. Its field `window`
-- is "number:calls:failures calls:failures": the newest bucket, and the sums of the nine before it,
-- so that most outcomes need not read those. `window_past` has these nine. Both are empty while
-- nothing is counted. The in-process breaker has the same rules in circuit_breaker/window.py.
local window = {}

local BUCKETS = 10
-- As wide for the first call as for the millionth.
local WINDOW = "%011.0f:%06.0f:%06.0f %06.0f:%06.0f"
local EMPTY = "00000000000:000000:000000"

-- Begins a new bucket: those that are not older than the window become its past. Returns the calls
-- and failures of the bucket, which exists if the clock has stepped back, and of its past.
local function begin(b, current)
  local past, calls, failures, earlier_calls, earlier_failures = {}, 0, 0, 0, 0
  local stored = b.window .. " " .. b.window_past
  for number, more_calls, more_failures in string.gmatch(stored, "(%d+):(%d+):(%d+)") do
    local at = tonumber(number)
    if at == current then
      calls, failures = tonumber(more_calls), tonumber(more_failures)
    elseif at < current and at > current - BUCKETS then
      past[#past + 1] = number .. ":" .. more_calls .. ":" .. more_failures
      earlier_calls = earlier_calls + more_calls
      earlier_failures = earlier_failures + more_failures
    end
  end
  for i = #past + 1, BUCKETS - 1 do
    past[i] = EMPTY
  end
  b.window_past = table.concat(past, " ")
  return calls, failures, earlier_calls, earlier_failures
end

-- Adds calls, which all failed if `fails`; returns all calls and failures in the window.
function window.add(b, now, number, fails)
  local current = math.floor(now / (b.window_ms / BUCKETS))
  local newest, calls, failures, earlier_calls, earlier_failures =
    string.match(b.window, "^(%d+):(%d+):(%d+) (%d+):(%d+)$")
  if tonumber(newest) ~= current then
    calls, failures, earlier_calls, earlier_failures = begin(b, current)
  end
  calls, failures = calls + number, failures + (fails and number or 0)
  b.window = string.format(WINDOW, current, calls, failures, earlier_calls, earlier_failures)
  return calls + earlier_calls, failures + earlier_failures
end

return window
