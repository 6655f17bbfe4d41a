-- lease_end: removes a lease that is over, after all that hung on it.
--
-- KEYS[1]  leases     process -> deadline of its lease
-- KEYS[2]  lease      the registrations that hang on this lease
-- KEYS[3]  process    the process's hash
-- KEYS[4]  processes  the stream of who joined and left
-- ARGV[1]  holder     the process whose lease is over
-- ARGV[2]  sweeper    the calling process
-- Returns  {"ended"}  the lease is removed
--          {"alive"}  the process has renewed its lease: nothing is changed
--          {"held"}   registrations still hang on it: call registration_expire first
-- Events   process_expired in `processes`
local damage = require("lib.damage")
local clock = require("lib.clock")
local processes = require("lib.processes")

local process = ARGV[1]
if not processes.is_over(KEYS[1], process, clock.now()) then
  return { "alive" }
end
local held = damage.pcall("SCARD", KEYS[2])
if type(held) == "number" and held > 0 then
  return { "held" }
end
if redis.call("ZSCORE", KEYS[1], process) then
  processes.announce(KEYS[4], "process_expired", process, ARGV[2], "its lease expired")
  redis.call("ZREM", KEYS[1], process)
end
redis.call("DEL", KEYS[2], KEYS[3])
return { "ended" }
