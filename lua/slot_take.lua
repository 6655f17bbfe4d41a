-- slot_take: takes one of a provider's max_in_flight slots for one call.
--
-- KEYS[1]  slots         process|token -> deadline
-- KEYS[2]  registration  the registration record, which has the limit
-- KEYS[3]  leases        process -> deadline of its lease
-- ARGV[1]  process       the calling process
-- ARGV[2]  slot          process|token, chosen by the caller; a call with a slot that is taken
--                        returns the same slot
-- ARGV[3]  limit         the limit that the caller knows; used if Redis has lost the record
-- ARGV[4]  lease_ms      how long the slot is held without being renewed
-- ARGV[5]  retention_ms  how long leases outlive the last one of them
-- Returns  {"taken", now, n}           n: how many slots are taken, with this one; slots of
--                                      processes that have left may count until they expire
--          {"full", now, n, retry_at}  retry_at: when a slot is free whose process has missed its
--                                      heartbeats; 0: unknown, all processes are alive
--          {"unlimited", now}          the registration has no limit any more
local damage = require("lib.damage")
local clock = require("lib.clock")
local changes = require("lib.changes")
local processes = require("lib.processes")
local leases = require("lib.leases")

local process, slot, lease = ARGV[1], ARGV[2], tonumber(ARGV[4])
local now = clock.now()

-- The limit of the record, or nil if it has none. A record that cannot be read counts as lost.
local function stored_limit()
  local record = damage.pcall("HMGET", KEYS[2], "name", "max_in_flight")
  local lost = record.err or not record[1]
  local text = not lost and (record[2] or "") or ARGV[3]
  if text == "" then
    return nil
  end
  return tonumber(text) or tonumber(ARGV[3])
end

local function reply(code, ...)
  local full = { code, string.format("%.0f", now) }
  for _, number in ipairs({ ... }) do
    full[#full + 1] = string.format("%.0f", number)
  end
  return full
end

local limit = stored_limit()
if not limit or limit < 1 then
  return reply("unlimited")
end
-- While there is room, the slots are counted without reading each of them: there may be many.
local taken, soonest, expired =
  redis.call("ZCOUNT", KEYS[1], "(" .. string.format("%.0f", now), "+inf"), nil, {}
if leases.held(KEYS[1], KEYS[3], slot, now) then
  return reply("taken", taken)
elseif taken >= limit then
  taken, soonest, expired = leases.out(KEYS[1], KEYS[3], now)
end
if taken >= limit then
  -- A process that is alive renews its slots at least twice within a lease.
  return reply("full", taken, soonest < now + lease / 2 and soonest or 0)
end
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", string.format("%.0f", now))

processes.renew(KEYS[3], process, now + lease)
leases.grant(KEYS[1], slot, now + lease, expired, lease)
changes.keep(KEYS[3], lease + tonumber(ARGV[5]))
return reply("taken", taken + 1)
