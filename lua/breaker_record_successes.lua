-- breaker_record_successes: counts the successes that a process has batched, of many breakers.
--
-- KEYS[1]    events    the service type's stream
-- KEYS[2]    meta      the service type's revision
-- KEYS[3..]  breakers  each breaker's hash, and its callers: called|process, … -> time
-- ARGV[1]    process   the reporting process
-- ARGV[2..]  counts    for each breaker: the provider's name; how many calls without a permit
--                      succeeded; how long ago the newest of them ended, in milliseconds; the
--                      generation that admitted them, "" if it is not known
-- Returns   {"tallied", now, word, …}, one word for each breaker:
--           "opened"   these calls completed the minimum, and too many others had failed
--           "counted"
--           "stale"     counted in the totals, nothing else
--           "missing"  configure the breaker first
-- Events    breaker_opened
local clock = require("lib.clock")
local breaker = require("lib.breaker")
local rules = require("lib.rules")
local streak = require("lib.streak")
local callers = require("lib.callers")
local changes = require("lib.changes")

local COLUMNS = 4

local process = ARGV[1]
local now = clock.now()

local function tally(key, seen, provider, successes, age, generation)
  local b = breaker.load(key)
  if not b then
    return "missing"
  end
  local current = generation == "" or tonumber(generation) == b.generation
  local counts = current and breaker.override(b, now) == "" and b.state == "closed"
  local kind, reason
  b.total_successes = b.total_successes + successes
  if counts then
    streak.succeeded(b, now - age)
    local enough = callers.judge(seen, b, now, process, false)
    kind, reason = rules.called(b, now, successes, 0, enough)
    callers.note(seen, b, now, process, false)
  end
  if kind then
    changes.change(KEYS[1], KEYS[2], now, b.retention_ms, {
      kind = kind,
      provider = provider,
      actor = process,
      reason = reason,
      details = { "breaker", breaker.told(b) },
    })
  end
  breaker.save(key, b, now)
  return kind and "opened" or (counts and "counted" or "stale")
end

local reply = { "tallied", string.format("%.0f", now) }
for i = 3, #KEYS, 2 do
  local at = 2 + (i - 3) / 2 * COLUMNS
  local successes, age = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  reply[#reply + 1] = tally(KEYS[i], KEYS[i + 1], ARGV[at], successes, age, ARGV[at + 3])
end
return reply
