-- breaker_merge_offline: what a process learned of one breaker while Redis was away, told once.
--
-- KEYS[1]   breaker      the breaker's hash
-- KEYS[2]   permits      permit -> deadline
-- KEYS[3]   events       the service type's stream
-- KEYS[4]   meta         the service type's revision
-- KEYS[5]   callers      called|process, failed|process -> time
-- ARGV[1]   provider     its name
-- ARGV[2]   process      the process that learned it
-- ARGV[3]   generation   the shared generation that it last knew
-- ARGV[4]   successes    how many calls succeeded meanwhile
-- ARGV[5]   failures     how many failed
-- ARGV[6]   streak       how many failed since the last one that succeeded
-- ARGV[7]   state        "open" if its own breaker is open now, else "closed"
-- ARGV[8]   cooldown_ms  what is left of a cooldown that it was told; 0: none
-- ARGV[9]   age          how long ago the newest of the successes was, in milliseconds
-- ARGV[10]  wait_ms      what is left until its own breaker, open, lets a probe through; 0: nothing
-- Returns  {"opened", now, field, value, …}     the failures opened it; if they were probes of an
--                                               open one: again, for what is left to wait
--          {"changed", now, field, value, …}    the streak or the cooldown is another one
--          {"unchanged", now, field, value, …}  but for the totals: the shared state leads
--          {"missing"}                          configure the breaker first
-- Events   breaker_opened, breaker_cooldown_started
local clock = require("lib.clock")
local breaker = require("lib.breaker")
local rules = require("lib.rules")
local streak = require("lib.streak")
local callers = require("lib.callers")
local changes = require("lib.changes")

local process = ARGV[2]
local successes, failures, running = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local now = clock.now()
local b = breaker.load(KEYS[1])
if not b then
  return { "missing" }
end

local deadline = now + tonumber(ARGV[8])
local cools = deadline > now and deadline > b.cooldown_until
if successes + failures == 0 and not cools then
  return breaker.reply("unchanged", b, now)
end

-- Open again, as after a probe that failed here, but no longer than its own breaker is.
local function reopen()
  local wait = tonumber(ARGV[10])
  local due = b.state == "half_open" or b.retry_at <= now
  if failures == 0 or wait <= 0 or not due then
    return "unchanged"
  end
  rules.open(b, now)
  b.retry_at = math.min(b.retry_at, now + wait)
  return "opened"
end

local function merge()
  local current = tonumber(ARGV[3]) == b.generation
  if not current or breaker.override(b, now) ~= "" then
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
    local enough = callers.judge(KEYS[5], b, now, process, true)
    local opens = rules.in_a_row(b, enough) or (ARGV[7] == "open" and enough("window"))
    callers.note(KEYS[5], b, now, process, true)
    if opens then
      rules.open(b, now)
      return "opened"
    end
  end
  return b.consecutive_failures ~= before and "changed" or "unchanged"
end

local function tell(kind, reason, details)
  details[#details + 1] = "breaker"
  details[#details + 1] = breaker.told(b)
  local event = { kind = kind, provider = ARGV[1], actor = process, reason = reason }
  event.details = details
  changes.change(KEYS[3], KEYS[4], now, b.retention_ms, event)
end

b.total_successes = b.total_successes + successes
b.total_failures = b.total_failures + failures
local word = merge()
if cools then
  b.cooldown_until = deadline
end

if word == "opened" then
  redis.call("DEL", KEYS[2])
  local seen = string.format("%.0f of %.0f calls failed", failures, successes + failures)
  tell("breaker_opened", "opened by " .. process .. " while Redis was away: " .. seen, {})
end
if cools then
  local reason = "told to " .. process .. " while Redis was away"
  tell("breaker_cooldown_started", reason, { "until", string.format("%.0f", deadline) })
end
breaker.save(KEYS[1], b, now)
return breaker.reply(cools and word == "unchanged" and "changed" or word, b, now)
