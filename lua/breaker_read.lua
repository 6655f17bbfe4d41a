-- breaker_read: reads one breaker with its counters, permits and callers.
--
-- KEYS[1]  breaker  the breaker's hash
-- KEYS[2]  permits  permit -> deadline
-- KEYS[3]  callers  called|process, failed|process -> time
-- Returns  {"read", now, {field, value, …}, {permit, deadline, …}, {caller, time, …}}
local clock = require("lib.clock")
local damage = require("lib.damage")

local fields = redis.call("HGETALL", KEYS[1])
local permits = redis.call("ZRANGE", KEYS[2], 0, -1, "WITHSCORES")
local callers = damage.pcall("ZRANGE", KEYS[3], 0, -1, "WITHSCORES")
if callers.err then
  callers = {}
end
return { "read", string.format("%.0f", clock.now()), fields, permits, callers }
