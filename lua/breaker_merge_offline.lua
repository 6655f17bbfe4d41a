-- breaker_merge_offline: merges what a process recorded of one breaker while Redis was away.
--
-- KEYS[1]   breaker      the breaker's hash
-- KEYS[2]   permits      permit -> deadline
-- KEYS[3]   events       the service type's stream
-- KEYS[4]   meta         the service type's revision
-- KEYS[5]   callers      called|process, failed|process -> time
-- ARGV[1]   provider     the provider's name
-- ARGV[2]   process      the process that recorded the outcomes
-- ARGV[3]   generation   the last shared generation that the process knew
-- ARGV[4]   successes    how many calls succeeded
-- ARGV[5]   failures     how many calls failed
-- ARGV[6]   streak       how many calls failed after the last success
-- ARGV[7]   state        "open" if the process's own breaker is open now, else "closed"
-- ARGV[8]   cooldown_ms  the rest of a cooldown that the process received; 0: none
-- ARGV[9]   age_ms       how long ago the newest success ended
-- ARGV[10]  wait_ms      the rest of the process's own recovery timeout; 0: none
-- Returns   {"opened", now, field, value, …}     the failures opened the breaker; or they were
--                                                probes, and it is open again for wait_ms at most
--           {"changed", now, field, value, …}    the streak or the cooldown has changed
--           {"unchanged", now, field, value, …}  at most the totals have changed
--           {"missing"}                          the breaker must be configured first
-- Events    breaker_opened, breaker_cooldown_started
local clock = require("lib.clock")
local breaker = require("lib.breaker")
local override = require("lib.override")
local state_machine = require("lib.state_machine")
local streak = require("lib.streak")
local callers = require("lib.callers")
local trip_conditions = require("lib.trip_conditions")
local changes = require("lib.changes")

local process = ARGV[2]
local successes, failures, running = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local now = clock.now()
local b = breaker.load(KEYS[1])
if not b then
  return { "missing" }
end

local deadline = now + tonumber(ARGV[8])
local cools_down = deadline > now and deadline > b.cooldown_until
if successes + failures == 0 and not cools_down then
  return breaker.reply("unchanged", b, now)
end

-- Opens the breaker again, as after a failed probe, but no longer than the process's own breaker.
local function reopen()
  local wait = tonumber(ARGV[10])
  local due = b.state == "half_open" or b.retry_at <= now
  if failures == 0 or wait <= 0 or not due then
    return "unchanged"
  end
  state_machine.open(b, now)
  b.retry_at = math.min(b.retry_at, now + wait)
  return "opened"
end

local function merge()
  if not override.lets_count(b, now, ARGV[3]) then
    return "unchanged"
  end
  if b.state ~= "closed" then
    return reopen()
  end
  local before = b.consecutive_failures
  if successes > 0 then
    streak.succeeded(b, now - tonumber(ARGV[9]))
  end
  if failures > 0 then
    streak.merged(b, now, running)
    callers.record(KEYS[5], b, now, process, true)
    local quorum = callers.quorum(KEYS[5], b, now)
    local opens = running > 0 and trip_conditions.streak(b, quorum)
    opens = opens or (ARGV[7] == "open" and quorum("window"))
    if opens then
      state_machine.open(b, now)
      return "opened"
    end
  end
  return b.consecutive_failures ~= before and "changed" or "unchanged"
end

local function publish(kind, reason, details)
  details[#details + 1] = "breaker"
  details[#details + 1] = breaker.as_json(b)
  local event = { kind = kind, provider = ARGV[1], actor = process, reason = reason }
  event.details = details
  changes.publish(KEYS[3], KEYS[4], now, b.retention_ms, event)
end

b.total_successes = b.total_successes + successes
b.total_failures = b.total_failures + failures
local code = merge()
if cools_down then
  b.cooldown_until = deadline
end

if code == "opened" then
  local counts = string.format("%.0f of %.0f calls failed", failures, successes + failures)
  publish("breaker_opened", "opened by " .. process .. " while Redis was away: " .. counts, {})
end
if cools_down then
  local reason = "received by " .. process .. " while Redis was away"
  publish("breaker_cooldown_started", reason, { "until", string.format("%.0f", deadline) })
end
if code == "opened" then
  redis.call("DEL", KEYS[2])
end
breaker.save(KEYS[1], b, now)
return breaker.reply(cools_down and code == "unchanged" and "changed" or code, b, now)
