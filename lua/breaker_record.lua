-- breaker_record: counts one outcome of one provider and makes the transition that it causes.
--
-- KEYS[1]  breaker     the breaker's hash
-- KEYS[2]  permits     permit -> deadline
-- KEYS[3]  leases      process -> deadline of its lease
-- KEYS[4]  events      the service type's stream
-- KEYS[5]  meta        the service type's revision
-- KEYS[6]  callers     called|process, failed|process -> time
-- ARGV[1]  provider    the provider's name
-- ARGV[2]  process     the reporting process
-- ARGV[3]  outcome     "success" | "failure" | "released" (neither: only the permit is released)
-- ARGV[4]  permit      the call's permit; "": none; "untracked": none, but it may be a due probe
-- ARGV[5]  generation  the generation that admitted the call; "": unknown
-- ARGV[6]  successes   how many unreported calls without a permit succeeded before this one
-- ARGV[7]  age_ms      how long ago the newest of these ended
-- ARGV[8]  batch_generation  the generation that admitted these; "": unknown
-- Returns  {"opened" | "closed", now, field, value, …}  this call made the transition
--          {"counted", now, field, value, …}            it made none; if closed, only counters
--          {"stale", now, field, value, …}              only the totals count it
--          {"missing"}                                  the breaker must be configured first
-- Events   breaker_opened, breaker_half_opened, breaker_closed, breaker_streak_warning
local clock = require("lib.clock")
local breaker = require("lib.breaker")
local override = require("lib.override")
local streak = require("lib.streak")
local callers = require("lib.callers")
local window = require("lib.window")
local trip_conditions = require("lib.trip_conditions")

local TOTALS = { success = "total_successes", failure = "total_failures" }
local provider, process, outcome, permit = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local now, b = clock.now(), breaker.load(KEYS[1], true)
if not b then
  return { "missing" }
end
local has_permit = string.find(permit, "|", 1, true) ~= nil
local successes, failed, total = tonumber(ARGV[6]), outcome == "failure", TOTALS[outcome]

-- Records calls of the closed breaker; returns why it must open, or else why to warn, or nil.
local function record_calls(number, at, fails)
  streak[fails and "failed" or "succeeded"](b, at)
  callers.record(KEYS[6], b, now, process, fails)
  local quorum = callers.quorum(KEYS[6], b, now)
  local opens = trip_conditions.reason(b, quorum, fails, window.add(b, now, number, fails))
  return opens, fails and not opens and streak.warning(b, now)
end

local reason, warning
if successes > 0 then
  b.total_successes = b.total_successes + successes
  reason = override.lets_call_count(b, now, ARGV[8])
    and record_calls(successes, now - tonumber(ARGV[7]), false)
end
if total then
  b[total] = b[total] + 1
end
local counts = total and not (has_permit or reason) and override.lets_call_count(b, now, ARGV[5])
if counts then
  reason, warning = record_calls(1, now, failed)
  if not (reason or warning) then
    breaker.save(KEYS[1], b, now)
    return breaker.reply_to_call("counted", b, now)
  end
end

-- Most calls end above, and need not load what follows.
local state_machine = require("lib.state_machine")
local leases = require("lib.leases")
local changes = require("lib.changes")
if not breaker.load_rest(KEYS[1], b) then
  return { "missing" }
end

local function publish(kind, why)
  local event = { kind = kind, provider = provider, actor = process, reason = why }
  event.details = { "breaker", breaker.as_json(b) }
  changes.publish(KEYS[4], KEYS[5], now, b.retention_ms, event)
end

local function is_probe()
  local probing = b.state == "half_open" or (b.state == "open" and now >= b.retry_at)
  if not (probing and override.lets_count(b, now, ARGV[5])) then
    return false
  elseif has_permit then
    return b.state == "half_open" and leases.held(KEYS[2], KEYS[3], permit, now)
  end
  local allowed = permit == "untracked" and b.cooldown_until <= now
  return allowed and leases.out(KEYS[2], KEYS[3], now) < b.half_open_max_calls
end

local probe, kind = is_probe(), nil
if reason then
  kind = state_machine.open(b, now)
elseif warning then
  local details = { "breaker", breaker.as_json(b) }
  changes.append(KEYS[4], "breaker_streak_warning", provider, process, warning, details)
elseif probe and total then
  if failed then
    streak.failed(b, now)
  end
  if b.state == "open" then
    state_machine.half_open(b, now)
    publish("breaker_half_opened", "the recovery timeout has passed")
  end
  kind, reason = state_machine.record_probe(b, now, outcome)
end
local code = (warning or probe) and "counted" or "stale"
if kind then
  publish(kind, reason)
  redis.call("DEL", KEYS[2])
  code = string.match(kind, "_(.*)")
end
redis.call("ZREM", KEYS[2], permit)
if code == "closed" then
  callers.clear_window(KEYS[6], b)
end
if successes > 0 or total then
  breaker.save(KEYS[1], b, now)
end
return breaker.reply(code, b, now)
