-- breaker_record: counts one outcome of one provider and makes the transition that it causes.
--
-- KEYS[1]  breaker     the breaker's hash
-- KEYS[2]  permits     permit -> deadline
-- KEYS[3]  members     registration|process -> lease deadline
-- KEYS[4]  events      the service type's stream
-- KEYS[5]  meta        the service type's revision
-- ARGV[1]  provider    its name
-- ARGV[2]  process     the reporting process
-- ARGV[3]  outcome     "success" | "failure" | "returned" (neither: the permit goes back)
-- ARGV[4]  permit      the permit of this call; "asked": none, but the caller was told that the
--                      breaker is available, so that this outcome may be the probe; "": none
-- ARGV[5]  generation  the generation that admitted the call; "": not known
-- ARGV[6]  successes   how many calls without a permit succeeded before this one, unreported yet
-- ARGV[7]  age_ms      how long ago the newest of these ended
-- Returns  {"opened" | "closed", now, field, value, …}  this very call made the transition
--          {"counted", now, field, value, …}
--          {"late", now, field, value, …}               counted in the totals, nothing else
--          {"missing"}                                  configure the breaker first
-- Events   breaker_opened, breaker_half_opened, breaker_closed; breaker_failing: a streak runs
local clock = require("lib.clock")
local breaker = require("lib.breaker")
local rules = require("lib.rules")
local streak = require("lib.streak")
local permits = require("lib.permits")
local journal = require("lib.journal")

local WORDS = { breaker_opened = "opened", breaker_closed = "closed" }

local provider, process, outcome, permit = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local now = clock.now()
local b = breaker.load(KEYS[1])
if not b then
  return { "missing" }
end

local holds = permit ~= "" and permit ~= "asked"
local current = ARGV[5] == "" or tonumber(ARGV[5]) == b.generation
local stands = breaker.override(b, now) == ""
local successes, age = tonumber(ARGV[6]), tonumber(ARGV[7])

local function counts_in(state)
  return stands and current and b.state == state
end

local function is_probe()
  local probing = b.state == "half_open" or (b.state == "open" and now >= b.retry_at)
  if holds then
    return counts_in("half_open") and permits.held(KEYS[2], KEYS[3], permit, now)
  elseif permit == "asked" and stands and current and probing and b.cooldown_until <= now then
    return permits.out(KEYS[2], KEYS[3], now) < b.half_open_max_calls
  end
  return false
end

local function tell(kind, reason)
  local event = { kind = kind, provider = provider, by = process, reason = reason }
  event.details = { "breaker", breaker.told(b) }
  journal.change(KEYS[4], KEYS[5], now, b.retention_ms, event)
end

local function succeeded_before()
  b.total_successes = b.total_successes + successes
  if successes > 0 and counts_in("closed") then
    streak.succeeded(b, now - age)
    return rules.called(b, now, successes, 0)
  end
  return nil
end

local function tried()
  if b.state == "open" then
    rules.half_open(b, now)
    tell("breaker_half_opened", "its recovery time is over")
  end
  return rules.probed(b, now, outcome)
end

local function called()
  if outcome == "success" then
    streak.succeeded(b, now)
    return rules.called(b, now, 1, 0)
  end
  local kind, reason = rules.called(b, now, 1, 1)
  local hint = not kind and streak.hint(b, now)
  if hint then
    local details = { "breaker", breaker.told(b) }
    journal.event(KEYS[4], "breaker_failing", provider, process, hint, details)
  end
  return kind, reason
end

local kind, reason = succeeded_before()
local probe = not kind and is_probe()
local counted = outcome ~= "returned" and not holds and counts_in("closed")
if holds then
  redis.call("ZREM", KEYS[2], permit)
end
if outcome ~= "returned" then
  local total = outcome == "success" and "total_successes" or "total_failures"
  b[total] = b[total] + 1
  if (counted or probe) and outcome == "failure" then
    streak.failed(b, now)
  end
  if probe then
    kind, reason = tried()
  elseif counted then
    kind, reason = called()
  end
end

if kind then
  redis.call("DEL", KEYS[2])
  tell(kind, reason)
end
if successes > 0 or outcome ~= "returned" then
  breaker.save(KEYS[1], b, now)
end
return breaker.reply(WORDS[kind] or ((counted or probe) and "counted" or "late"), b, now)
