-- lease_adopt: gives a lease to a holder that has none, so that what it holds expires with it.
--
-- KEYS[1]    leases    process -> deadline of its lease
-- KEYS[2]    lease     the registrations that hang on this lease
-- ARGV[1]    holder    the process that holds registrations without a lease
-- ARGV[2]    lease_ms  how long the lease lasts: a process that is alive renews it
-- ARGV[3..]  held      service_type|id of each registration
-- Returns    {"adopted"}
local clock = require("lib.clock")
local changes = require("lib.changes")
local processes = require("lib.processes")

local lease = tonumber(ARGV[2])
processes.repair(KEYS[1], "zset")
processes.repair(KEYS[2], "set")
redis.call("ZADD", KEYS[1], "NX", string.format("%.0f", clock.now() + lease), ARGV[1])
for i = 3, #ARGV do
  redis.call("SADD", KEYS[2], ARGV[i])
end
for _, key in ipairs(KEYS) do
  changes.keep(key, 2 * lease)
end
return { "adopted" }
