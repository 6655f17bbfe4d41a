-- process_heartbeat: publishes what a process is and which service types it uses.
--
-- KEYS[1]    process       the process's hash
-- KEYS[2]    types         service types in use
-- ARGV[1]    lease_ms      how long the process counts as alive without another heartbeat
-- ARGV[2]    retention_ms  how long the set of service types outlives the last lease
-- ARGV[3]    host          the host that the process runs on
-- ARGV[4]    pid           its process id on that host
-- ARGV[5]    version       its version of ciris_registry
-- ARGV[6..]  used          its service types
-- Returns    {"renewed", now}
local clock = require("lib.clock")
local changes = require("lib.changes")

local now = string.format("%.0f", clock.now())
redis.call("HSET", KEYS[1], "host", ARGV[3], "pid", ARGV[4], "version", ARGV[5])
redis.call("HSETNX", KEYS[1], "started", now)
redis.call("PEXPIRE", KEYS[1], ARGV[1])
if #ARGV > 5 then
  -- One by one: there may be more than Lua can unpack.
  for i = 6, #ARGV do
    redis.call("SADD", KEYS[2], ARGV[i])
  end
  changes.keep(KEYS[2], tonumber(ARGV[1]) + tonumber(ARGV[2]))
end
return { "renewed", now }
