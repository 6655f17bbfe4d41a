-- breaker_forget: removes a breaker whose provider has no registration any more, with all that
-- hangs on it. A mark keeps processes that remember it from putting it back.
--
-- KEYS[1]  breaker        the breaker's hash
-- KEYS[2]  permits        permit -> deadline
-- KEYS[3]  callers        called|process, failed|process -> time
-- KEYS[4]  local_trips    process -> the time until which it refuses the provider alone
-- KEYS[5]  slots          process|token -> deadline
-- KEYS[6]  registrations  registration id -> order of registration
-- KEYS[7]  events         the service type's stream
-- KEYS[8]  meta           the service type's revision, and the mark
-- ARGV[1]  provider       the provider's name
-- ARGV[2]  process        the process that forgets it
-- ARGV[3]  keep_ms        how long the mark must last
-- Returns  {"forgotten", now}  the breaker is gone, and marked even if it was gone before
--          {"kept", now}       the name still has a registration: nothing is changed
-- Events   breaker_forgotten
local clock = require("lib.clock")
local changes = require("lib.changes")
local forgotten = require("lib.forgotten")
local processes = require("lib.processes")

local now, name = clock.now(), ARGV[1]
local function reply(code)
  return { code, string.format("%.0f", now) }
end

processes.repair(KEYS[6], "zset")
for _, id in ipairs(redis.call("ZRANGE", KEYS[6], 0, -1)) do
  if string.match(id, "^[^@]*") == name then
    return reply("kept")
  end
end
changes.publish(KEYS[7], KEYS[8], now, tonumber(ARGV[3]), {
  kind = "breaker_forgotten",
  provider = name,
  actor = ARGV[2],
  reason = "unregistered with its breaker",
})
forgotten.mark(KEYS[8], name, now)
redis.call("DEL", KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5])
return reply("forgotten")
