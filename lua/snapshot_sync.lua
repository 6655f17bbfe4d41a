-- snapshot_sync: compares the version of a snapshot with Redis, and takes cursor positions.
--
-- KEYS[1]    meta           the service type's revision
-- KEYS[2]    registrations  registration id -> order of registration
-- KEYS[3]    cursors        round-robin positions
-- ARGV[1]    epoch          the epoch of the caller's snapshot; "": it has none
-- ARGV[2]    revision       the revision of the caller's snapshot
-- ARGV[3]    retention_ms   how long a cursor outlives its last use
-- ARGV[4..]  steps          cursor, number of steps, …
-- Returns    {"same", now, position, …}
--                             the snapshot is up to date; then the first position taken from
--                             each cursor
--            {"changed", now, epoch, revision, n, position, …, id, order, …}
--                             the current version, n positions and the list of registrations
local clock = require("lib.clock")

local now = string.format("%.0f", clock.now())
local found = redis.call("HMGET", KEYS[1], "epoch", "revision")
local epoch, revision = found[1] or "", found[2] or "0"
local is_same = epoch == ARGV[1] and revision == ARGV[2]
if is_same and #ARGV < 4 then
  return { "same", now }
end

-- Most calls end above, and need not load what follows.
local cursor = require("lib.cursor")
local changes = require("lib.changes")

-- One by one: there may be more items than Lua can unpack.
local function append(reply, items)
  for _, item in ipairs(items) do
    reply[#reply + 1] = item
  end
  return reply
end

local positions = {}
for i = 4, #ARGV, 2 do
  positions[#positions + 1] = cursor.take(KEYS[3], ARGV[i], ARGV[i + 1])
end
if #positions > 0 then
  changes.keep(KEYS[3], tonumber(ARGV[3]))
end

if is_same then
  return append({ "same", now }, positions)
end
local count = string.format("%d", #positions)
local reply = append({ "changed", now, epoch, revision, count }, positions)
return append(reply, redis.call("ZRANGE", KEYS[2], 0, -1, "WITHSCORES"))
