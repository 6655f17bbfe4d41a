-- breaker_record: counts one outcome of one provider and makes the transition that it causes.
--
-- KEYS[1]  breaker     the breaker's hash
-- KEYS[2]  permits     permit -> deadline
-- KEYS[3]  members     registration|process -> lease deadline
-- KEYS[4]  events      the service type's stream
-- KEYS[5]  meta        the service type's revision
-- KEYS[6]  callers     called|process, failed|process -> time
-- ARGV[1]  provider    the provider's name
-- ARGV[2]  process     the reporting process
-- ARGV[3]  outcome     "success" | "failure" | "released" (neither: only the permit is released)
-- ARGV[4]  permit      the call's permit; "": none; "untracked": none, but the caller saw that a
--                      probe was due, so that this outcome may count as the probe's
-- ARGV[5]  generation  the generation that admitted the call; "": unknown
-- ARGV[6]  successes   how many unreported calls without a permit succeeded before this one
-- ARGV[7]  age_ms      how long ago the newest of these ended
-- ARGV[8]  batch_generation  the generation that admitted these; "": unknown
-- Returns  {"opened" | "closed", now, field, value, …}  this call made the transition
--          {"counted", now, field, value, …}            it made no such transition
--          {"stale", now, field, value, …}              only the totals count it
--          {"missing"}                                  the breaker must be configured first
-- Events   breaker_opened, breaker_half_opened, breaker_closed, breaker_streak_warning
local clock = require("lib.clock")
local breaker = require("lib.breaker")
local state_machine = require("lib.state_machine")
local streak = require("lib.streak")
local leases = require("lib.leases")
local callers = require("lib.callers")
local changes = require("lib.changes")

local CODES = { breaker_opened = "opened", breaker_closed = "closed" }
local TOTALS = { success = "total_successes", failure = "total_failures" }
local provider, process, outcome, permit = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local now, b = clock.now(), breaker.load(KEYS[1])
if not b then
  return { "missing" }
end

local has_permit = permit ~= "" and permit ~= "untracked"
local forced = breaker.override(b, now) ~= ""
local successes, age, failed = tonumber(ARGV[6]), tonumber(ARGV[7]), outcome == "failure"

local function is_current(generation)
  return not forced and (generation == "" or tonumber(generation) == b.generation)
end

local function is_probe()
  local probing = b.state == "half_open" or (b.state == "open" and now >= b.retry_at)
  if not (probing and is_current(ARGV[5])) then
    return false
  elseif has_permit then
    return b.state == "half_open" and leases.held(KEYS[2], KEYS[3], permit, now)
  elseif permit == "untracked" and b.cooldown_until <= now then
    return leases.out(KEYS[2], KEYS[3], now) < b.half_open_max_calls
  end
end

local function publish(kind, reason)
  local event = { kind = kind, provider = provider, actor = process, reason = reason }
  event.details = { "breaker", breaker.as_json(b) }
  changes.publish(KEYS[4], KEYS[5], now, b.retention_ms, event)
end

local function record_calls(number, at, fails)
  streak[fails and "failed" or "succeeded"](b, at)
  local quorum = callers.quorum(KEYS[6], b, now, process, fails)
  local kind, reason = state_machine.record_calls(b, now, number, fails and 1 or 0, quorum)
  local warning = fails and not kind and streak.warning(b, now)
  if warning then
    local details = { "breaker", breaker.as_json(b) }
    changes.append(KEYS[4], "breaker_streak_warning", provider, process, warning, details)
  end
  return kind, reason
end

local function record_probe()
  if failed then
    streak.failed(b, now)
  end
  if b.state == "open" then
    state_machine.half_open(b, now)
    publish("breaker_half_opened", "the recovery timeout has passed")
  end
  return state_machine.record_probe(b, now, outcome)
end

local kind, reason
local batch_counts = successes > 0 and b.state == "closed" and is_current(ARGV[8])
b.total_successes = b.total_successes + successes
if batch_counts then
  kind, reason = record_calls(successes, now - age, false)
end
local probe = not kind and is_probe()
local total = TOTALS[outcome]
local counts = total and not has_permit and b.state == "closed" and is_current(ARGV[5])
redis.call("ZREM", KEYS[2], permit)
if total then
  b[total] = b[total] + 1
end
if counts then
  kind, reason = record_calls(1, now, failed)
elseif probe and total then
  kind, reason = record_probe()
end

if kind then
  redis.call("DEL", KEYS[2])
  publish(kind, reason)
end
if kind == "breaker_closed" then
  callers.clear_window(KEYS[6], b)
elseif batch_counts or counts then
  callers.record(KEYS[6], b, now, process, counts and failed)
end
if successes > 0 or total then
  breaker.save(KEYS[1], b, now)
end
return breaker.reply(CODES[kind] or ((counts or probe) and "counted" or "stale"), b, now)
