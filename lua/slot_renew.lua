-- slot_renew: a heartbeat: the calls of a process that hold slots of a service type go on, and
-- slots that nobody has renewed go.
--
-- KEYS[1..]  slots     process|token -> deadline, of each provider
-- ARGV[1]    lease_ms  how long the slots are held from now on without being renewed
-- ARGV[2..]  held      number of the provider's key, slot, …: also what Redis has lost meanwhile
-- Returns   {"renewed", n}  so many
local clock = require("lib.clock")
local changes = require("lib.changes")

local lease, now = tonumber(ARGV[1]), clock.now()
local deadline = string.format("%.0f", now + lease)

-- One by one: a process may hold more than Lua can unpack.
local count = 0
for i = 2, #ARGV, 2 do
  redis.call("ZADD", KEYS[tonumber(ARGV[i])], deadline, ARGV[i + 1])
  count = count + 1
end
for _, key in ipairs(KEYS) do
  redis.call("ZREMRANGEBYSCORE", key, "-inf", string.format("%.0f", now))
  changes.keep(key, lease)
end
return { "renewed", count }
