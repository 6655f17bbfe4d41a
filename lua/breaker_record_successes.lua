-- breaker_record_successes: counts the batched successes of a process for many breakers.
--
-- KEYS[1]    events    the service type's stream
-- KEYS[2]    meta      the service type's revision
-- KEYS[3..]  breakers  for each breaker: its hash; its callers: called|process, … -> time
-- ARGV[1]    process   the reporting process
-- ARGV[2..]  counts    for each breaker: the provider's name; how many calls without a permit
--                      succeeded; how long ago the newest of them ended, in milliseconds; the
--                      generation that admitted them, "" if it is unknown
-- Returns    {"recorded", now, code, …}  one code for each breaker:
--              "opened"   these calls completed the minimum, and too many others had failed
--              "counted"  these calls did not open the breaker
--              "stale"    only the totals count them
--              "missing"  the breaker must be configured first
-- Events     breaker_opened
local clock = require("lib.clock")
local breaker = require("lib.breaker")
local state_machine = require("lib.state_machine")
local streak = require("lib.streak")
local callers = require("lib.callers")
local changes = require("lib.changes")

local COLUMNS = 4

local process = ARGV[1]
local now = clock.now()

local function record(key, callers_key, provider, successes, age, generation)
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
    local quorum = callers.quorum(callers_key, b, now, process, false)
    kind, reason = state_machine.record_calls(b, now, successes, 0, quorum)
    callers.record(callers_key, b, now, process, false)
  end
  if kind then
    changes.publish(KEYS[1], KEYS[2], now, b.retention_ms, {
      kind = kind,
      provider = provider,
      actor = process,
      reason = reason,
      details = { "breaker", breaker.as_json(b) },
    })
  end
  breaker.save(key, b, now)
  return kind and "opened" or (counts and "counted" or "stale")
end

local reply = { "recorded", string.format("%.0f", now) }
for i = 3, #KEYS, 2 do
  local at = 2 + (i - 3) / 2 * COLUMNS
  local successes, age = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  reply[#reply + 1] = record(KEYS[i], KEYS[i + 1], ARGV[at], successes, age, ARGV[at + 3])
end
return reply
