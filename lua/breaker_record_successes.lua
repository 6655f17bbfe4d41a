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
local plain_success = require("lib.plain_success")

local COLUMNS = 4

local process = ARGV[1]
local now = clock.now()
local reply = { "recorded", string.format("%.0f", now) }

-- Whether all of them are plain and counted; if not, nothing is written.
local function count_plain()
  local plain = {}
  for i = 3, #KEYS, 2 do
    local at = 2 + (i - 3) / 2 * COLUMNS
    local successes, generation = tonumber(ARGV[at + 1]), ARGV[at + 3]
    local one = plain_success.read(KEYS[i], KEYS[i + 1], process, now, successes, generation)
    if not one or plain[KEYS[i]] then
      return false
    end
    plain[KEYS[i]] = one
  end
  for key, one in pairs(plain) do
    plain_success.write(key, one)
  end
  return true
end

if count_plain() then
  for i = 1, (#KEYS - 2) / 2 do
    reply[2 + i] = "counted"
  end
  return reply
end

-- Most calls end above, and need not load what follows.
local breaker = require("lib.breaker")
local override = require("lib.override")
local streak = require("lib.streak")
local callers = require("lib.callers")
local window = require("lib.window")
local trip_conditions = require("lib.trip_conditions")

local loaded = {} -- by key: a report may name a breaker twice, with two generations

-- The breaker, what becomes of the successes, and why it must open, if it must.
local function record(key, callers_key, successes, age, generation)
  local b = loaded[key] or breaker.load(key, true)
  if not b then
    return nil, "missing"
  end
  loaded[key] = b
  b.total_successes = b.total_successes + successes
  if not override.lets_call_count(b, now, generation) then
    return b, "stale"
  end
  streak.succeeded(b, now - age)
  callers.record(callers_key, b, now, process, false)
  local quorum = callers.quorum(callers_key, b, now)
  local reason = trip_conditions.reason(b, quorum, false, window.add(b, now, successes, false))
  if reason and not breaker.load_rest(key, b) then
    loaded[key] = nil
    return nil, "missing"
  end
  return b, reason and "opened" or "counted", reason
end

local opened = {}
for i = 3, #KEYS, 2 do
  local at = 2 + (i - 3) / 2 * COLUMNS
  local successes, age = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local b, code, reason = record(KEYS[i], KEYS[i + 1], successes, age, ARGV[at + 3])
  reply[#reply + 1] = code
  if reason then
    opened[#opened + 1] = { b = b, provider = ARGV[at], reason = reason }
  end
end

local function save()
  for key, b in pairs(loaded) do
    breaker.save(key, b, now)
  end
  return reply
end

if #opened == 0 then
  return save()
end

local state_machine = require("lib.state_machine")
local changes = require("lib.changes")

for _, one in ipairs(opened) do
  state_machine.open(one.b, now)
  changes.publish(KEYS[1], KEYS[2], now, one.b.retention_ms, {
    kind = "breaker_opened",
    provider = one.provider,
    actor = process,
    reason = one.reason,
    details = { "breaker", breaker.as_json(one.b) },
  })
end
return save()
