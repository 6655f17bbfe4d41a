-- process_leave: ends the lease of a process, which frees its permits and slots at once.
--
-- KEYS[1]  leases     process -> deadline of its lease
-- KEYS[2]  lease      the registrations that hang on this lease
-- KEYS[3]  process    the process's hash
-- KEYS[4]  processes  the stream of who joined and left
-- ARGV[1]  holder     the leaving process, which has already ended its registrations
-- Returns  {"left"}       the lease has ended
--          {"held"}       registrations still hang on it: it is over, and expires with them
--          {"absent"}     the process had no lease
-- Events   process_left in `processes`
local clock = require("lib.clock")
local processes = require("lib.processes")

local process = ARGV[1]
processes.repair(KEYS[1], "zset")
processes.repair(KEYS[2], "set")
if not redis.call("ZSCORE", KEYS[1], process) then
  return { "absent" }
end
if redis.call("SCARD", KEYS[2]) > 0 then
  redis.call("ZADD", KEYS[1], string.format("%.0f", clock.now()), process)
  return { "held" }
end
processes.announce(KEYS[4], "process_left", process, process, "")
redis.call("ZREM", KEYS[1], process)
redis.call("DEL", KEYS[2], KEYS[3])
return { "left" }
