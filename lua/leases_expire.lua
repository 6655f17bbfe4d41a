-- leases_expire: names the processes whose lease has expired, to one sweeper at a time.
--
-- KEYS[1]  leases    process -> deadline of its lease
-- KEYS[2]  expiry    who sweeps, and what is known of mass expiries
-- KEYS[3]  processes the stream of who joined and left
-- ARGV[1]  sweeper   the calling process
-- ARGV[2]  lease_ms  how much longer a suspicious lease is kept
-- ARGV[3]  share     a mass expiry: more than this share of the leases expired at once
-- ARGV[4]  sweep_ms  for how long no other process may sweep
-- ARGV[5]  most      how many processes the reply may name
-- Returns  {"expired", process, …}    the processes to remove; "expired" alone: there are none
--          {"busy"}                   another process is sweeping
--          {"suspended", process, …}  a mass expiry after an outage: its leases are kept once
--                                     more; the processes are those whose leases had been kept
-- Events   expiry_suspended in `processes`
local clock = require("lib.clock")
local changes = require("lib.changes")
local processes = require("lib.processes")

local sweeper, lease, share = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now = clock.now()
local function at(time)
  return string.format("%.0f", time)
end

processes.repair(KEYS[1], "zset")
processes.repair(KEYS[2], "hash")
local found = redis.call(
  "HMGET",
  KEYS[2],
  "sweeper",
  "swept_until",
  "suspended_until",
  "suspect_until",
  "mass_expiry_until"
)
local swept_until = tonumber(found[2]) or 0
if found[1] ~= sweeper and swept_until > now and swept_until <= now + tonumber(ARGV[4]) then
  return { "busy" }
end

local expired = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", at(now), "WITHSCORES")
local number = redis.call("ZCARD", KEYS[1])
local suspended_until = tonumber(found[3]) or 0
-- A lease that was kept once has that deadline. It is not kept again unless it is renewed.
local fresh, final = {}, {}
for i = 1, #expired, 2 do
  local list = tonumber(expired[i + 1]) == suspended_until and final or fresh
  list[#list + 1] = expired[i]
end
-- A mass expiry now, or at the first heartbeat after the outage.
local mass_expiry = #fresh > share * number or now < (tonumber(found[5]) or 0)
local reply = { "expired" }
if #fresh > 0 and mass_expiry and now < (tonumber(found[4]) or 0) then
  reply[1] = "suspended"
  local deadline = at(suspended_until > now and suspended_until or now + lease)
  local reason = string.format("%d of %d leases expired while Redis was away", #fresh, number)
  processes.announce(KEYS[3], "expiry_suspended", "", sweeper, reason)
  for _, process in ipairs(fresh) do
    redis.call("ZADD", KEYS[1], deadline, process)
  end
  redis.call("HSET", KEYS[2], "suspended_until", deadline)
else
  for _, process in ipairs(fresh) do
    final[#final + 1] = process
  end
end
for i = 1, math.min(#final, tonumber(ARGV[5])) do
  reply[#reply + 1] = final[i]
end
if #reply > 1 then
  redis.call("HSET", KEYS[2], "sweeper", sweeper, "swept_until", at(now + tonumber(ARGV[4])))
end
changes.keep(KEYS[2], 2 * lease)
return reply
