-- breaker_record: counts one outcome of one provider and makes the transition that it causes.
--
-- KEYS[1]  breaker     the breaker's hash
-- KEYS[2]  permits     permit -> deadline
-- KEYS[3]  members     registration|process -> lease deadline
-- KEYS[4]  events      the service type's stream
-- KEYS[5]  meta        the service type's revision
-- KEYS[6]  callers     called|process, failed|process -> time
-- ARGV[1]  provider    its name
-- ARGV[2]  process     the reporting process
-- ARGV[3]  outcome     "success" | "failure" | "released" (neither: the permit goes back)
-- ARGV[4]  permit      the permit of this call; "untracked": none, but the caller was told that the
--                      breaker is available, so that this outcome may be the probe; "": none
-- ARGV[5]  generation  the generation that admitted the call; "": not known
-- ARGV[6]  successes   how many calls without a permit succeeded before this one, unreported yet
-- ARGV[7]  age_ms      how long ago the newest of these ended
-- Returns  {"opened" | "closed", now, field, value, …}  this very call made the transition
--          {"counted", now, field, value, …}
--          {"stale", now, field, value, …}               counted in the totals, nothing else
--          {"missing"}                                  configure the breaker first
-- Events   breaker_opened, breaker_half_opened, breaker_closed, breaker_streak_warning
local clock = require("lib.clock")
local breaker = require("lib.breaker")
local rules = require("lib.rules")
local streak = require("lib.streak")
local leases = require("lib.leases")
local callers = require("lib.callers")
local changes = require("lib.changes")

local WORDS = { breaker_opened = "opened", breaker_closed = "closed" }
local TOTALS = { success = "total_successes", failure = "total_failures" }
local NO_PERMIT = { [""] = true, untracked = true }
local provider, process, outcome, permit = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local now = clock.now()
local b = breaker.load(KEYS[1])
if not b then
  return { "missing" }
end

local holds = not NO_PERMIT[permit]
local known = ARGV[5] == "" or tonumber(ARGV[5]) == b.generation
local current = known and breaker.override(b, now) == ""
local successes, age, failed = tonumber(ARGV[6]), tonumber(ARGV[7]), outcome == "failure"

local function counts_in(state)
  return current and b.state == state
end

local function is_probe()
  local probing = b.state == "half_open" or (b.state == "open" and now >= b.retry_at)
  if holds then
    return counts_in("half_open") and leases.held(KEYS[2], KEYS[3], permit, now)
  elseif permit == "untracked" and current and probing and b.cooldown_until <= now then
    return leases.out(KEYS[2], KEYS[3], now) < b.half_open_max_calls
  end
end

local function tell(kind, reason)
  local event = { kind = kind, provider = provider, actor = process, reason = reason }
  event.details = { "breaker", breaker.told(b) }
  changes.change(KEYS[4], KEYS[5], now, b.retention_ms, event)
end

local function called(number, at, fails)
  streak[fails and "failed" or "succeeded"](b, at)
  local enough = callers.judge(KEYS[6], b, now, process, fails)
  local kind, reason = rules.called(b, now, number, fails and 1 or 0, enough)
  local hint = fails and not kind and streak.hint(b, now)
  if hint then
    local details = { "breaker", breaker.told(b) }
    changes.event(KEYS[4], "breaker_streak_warning", provider, process, hint, details)
  end
  return kind, reason
end

local function tried()
  if failed then
    streak.failed(b, now)
  end
  if b.state == "open" then
    rules.half_open(b, now)
    tell("breaker_half_opened", "its recovery time is over")
  end
  return rules.probed(b, now, outcome)
end

local kind, reason
local gathered = successes > 0 and counts_in("closed")
b.total_successes = b.total_successes + successes
if gathered then
  kind, reason = called(successes, now - age, false)
end
local probe = not kind and is_probe()
local total = TOTALS[outcome]
local counted = total and not holds and counts_in("closed")
if holds then
  redis.call("ZREM", KEYS[2], permit)
end
if total then
  b[total] = b[total] + 1
end
if counted then
  kind, reason = called(1, now, failed)
elseif probe and total then
  kind, reason = tried()
end

if kind then
  redis.call("DEL", KEYS[2])
  tell(kind, reason)
end
if kind == "breaker_closed" then
  callers.forget(KEYS[6], b)
elseif gathered or counted then
  callers.note(KEYS[6], b, now, process, counted and failed)
end
if successes > 0 or total then
  breaker.save(KEYS[1], b, now)
end
return breaker.reply(WORDS[kind] or ((counted or probe) and "counted" or "stale"), b, now)
