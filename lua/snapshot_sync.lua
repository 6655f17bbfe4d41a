-- snapshot_sync: is a copy of the service type still what is true? Takes cursor steps along.
--
-- KEYS[1]    meta           the service type's revision
-- KEYS[2]    registrations  registration id -> order of registration
-- KEYS[3]    members        registration|process -> lease deadline
-- KEYS[4]    cursors        round-robin positions
-- ARGV[1]    epoch          of the caller's copy; "" if it has none
-- ARGV[2]    revision       of the caller's copy
-- ARGV[3]    retention_ms   how long a cursor outlives its last use
-- ARGV[4..]  steps          cursor, number of steps, …
-- Returns   {"same", now, expired, position, …}  how many leases have expired; the first
--                         position taken for each cursor
--           {"changed", now, expired, epoch, revision, #positions, position, …, id, order, …}
local clock = require("lib.clock")
local cursor = require("lib.cursor")
local changes = require("lib.changes")

local now = string.format("%.0f", clock.now())
local version = changes.version(KEYS[1])
local expired = string.format("%.0f", redis.call("ZCOUNT", KEYS[3], "-inf", now))

-- One by one: there may be more than Lua can unpack.
local function with(reply, items)
  for _, item in ipairs(items) do
    reply[#reply + 1] = item
  end
  return reply
end

local positions = {}
for i = 4, #ARGV, 2 do
  positions[#positions + 1] = cursor.take(KEYS[4], ARGV[i], ARGV[i + 1])
end
if #positions > 0 then
  changes.keep(KEYS[4], tonumber(ARGV[3]))
end

if version[1] == ARGV[1] and version[2] == ARGV[2] then
  return with({ "same", now, expired }, positions)
end
local count = string.format("%d", #positions)
local reply = with({ "changed", now, expired, version[1], version[2], count }, positions)
return with(reply, redis.call("ZRANGE", KEYS[2], 0, -1, "WITHSCORES"))
