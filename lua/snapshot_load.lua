-- snapshot_load: reads the whole data of one service type, if it still has the given version.
--
-- KEYS[1]    meta      the service type's revision
-- KEYS[2]    leases    process -> deadline of its lease
-- KEYS[3..]  hashes    registration:<id> of each id; then breaker:<name>, permits:<name> and
--                      callers:<name> of each name
-- ARGV[1]    epoch     the epoch at which the caller read the list of ids and names
-- ARGV[2]    revision  the revision at which the caller read it
-- ARGV[3]    ids       how many of the hashes are registrations
-- Returns    {"loaded", now, {field, value, …}, …}
--                             one inner list for each of the hashes; {"damaged", error} is the
--                             inner list of a key of another type; a permit ends with the lease
--                             of its process at the latest
--            {"moved", now}   the version is another one: call snapshot_sync again
local damage = require("lib.damage")
local clock = require("lib.clock")
local changes = require("lib.changes")

-- More callers than any quorum needs; a fleet may have thousands.
local NEWEST_CALLERS = 64

local now = string.format("%.0f", clock.now())
local version = changes.version(KEYS[1])
if version[1] ~= ARGV[1] or version[2] ~= ARGV[2] then
  return { "moved", now }
end

local function read(...)
  local flat = damage.pcall(...)
  return flat.err and { "damaged", flat.err } or flat
end

-- Permits with their deadlines; the lease of its process may end a permit earlier.
local function read_permits(key)
  local flat = read("ZRANGE", key, 0, -1, "WITHSCORES")
  for i = 1, flat[1] ~= "damaged" and #flat or 0, 2 do
    local process = string.match(flat[i], "^(.*)|") or ""
    local lease = damage.pcall("ZSCORE", KEYS[2], process)
    local deadline =
      math.min(tonumber(flat[i + 1]), type(lease) == "string" and tonumber(lease) or 0)
    flat[i + 1] = string.format("%.0f", deadline)
  end
  return flat
end

local READERS = {
  function(key)
    return read("HGETALL", key)
  end,
  read_permits,
  function(key)
    return read("ZREVRANGE", key, 0, NEWEST_CALLERS - 1, "WITHSCORES")
  end,
}

local reply = { "loaded", now }
for i = 3, #KEYS do
  local place = i - 3 - tonumber(ARGV[3])
  reply[#reply + 1] = READERS[place < 0 and 1 or place % 3 + 1](KEYS[i])
end
return reply
