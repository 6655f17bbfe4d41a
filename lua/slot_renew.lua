-- slot_renew: a heartbeat that renews the slots of a process's calls in flight, for many providers
-- of one service type, and removes expired slots.
--
-- KEYS[1..]  slots     process|token -> deadline, one key for each provider
-- ARGV[1]    lease_ms  how long a slot is held without another renewal
-- ARGV[2..]  held      number of the provider's key, slot, …; a slot that Redis has lost is taken
--                      again
-- Returns    {"renewed", n}  n: how many slots
local clock = require("lib.clock")
local changes = require("lib.changes")

local lease, now = tonumber(ARGV[1]), clock.now()
local deadline = string.format("%.0f", now + lease)

-- One by one: a process may hold more slots than Lua can unpack.
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
