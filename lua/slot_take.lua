-- slot_take: takes one of a provider's max_in_flight slots, for one call.
--
-- KEYS[1]  slots         process|token -> deadline
-- KEYS[2]  registration  the registration record, which names the limit
-- KEYS[3]  members       registration|process -> lease deadline
-- ARGV[1]  process       the asking process
-- ARGV[2]  slot          process|token, made by the asker; asking again with it gives the same slot
-- ARGV[3]  limit         what the asker takes the limit for; counts where Redis has lost the record
-- ARGV[4]  lease_ms      how long the slot is held without being renewed
-- ARGV[5]  retention_ms  how long members outlive the last lease
-- Returns  {"taken", now, taken}           how many are, this one included; those of processes that
--                                          have left may count until they end
--          {"full", now, taken, retry_at}  retry_at: when the slot of a holder that has missed its
--                                          heartbeats is free; 0: they all live, nobody knows
--          {"unlimited", now}              the registration has no limit any more
local clock = require("lib.clock")
local changes = require("lib.changes")
local members = require("lib.members")
local leases = require("lib.leases")

local process, slot, lease = ARGV[1], ARGV[2], tonumber(ARGV[4])
local now = clock.now()

-- The limit that stands in Redis; nil for none. What cannot be read is as good as lost.
local function limit()
  local record = redis.pcall("HMGET", KEYS[2], "name", "max_in_flight")
  local lost = record.err or not record[1]
  local text = not lost and (record[2] or "") or ARGV[3]
  if text == "" then
    return nil
  end
  return tonumber(text) or tonumber(ARGV[3])
end

local function reply(word, ...)
  local full = { word, string.format("%.0f", now) }
  for _, number in ipairs({ ... }) do
    full[#full + 1] = string.format("%.0f", number)
  end
  return full
end

local most = limit()
if not most or most < 1 then
  return reply("unlimited")
end
-- Without looking at each of them while there is room: there may be many.
local taken, soonest, dead =
  redis.call("ZCOUNT", KEYS[1], "(" .. string.format("%.0f", now), "+inf"), nil, {}
if leases.held(KEYS[1], KEYS[3], slot, now) then
  return reply("taken", taken)
elseif taken >= most then
  taken, soonest, dead = leases.out(KEYS[1], KEYS[3], now)
end
if taken >= most then
  -- Who lives renews at least twice within a lease.
  return reply("full", taken, soonest < now + lease / 2 and soonest or 0)
end
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", string.format("%.0f", now))

members.present(KEYS[3], process, now + lease)
leases.grant(KEYS[1], slot, now + lease, dead, lease)
changes.keep(KEYS[3], lease + tonumber(ARGV[5]))
return reply("taken", taken + 1)
