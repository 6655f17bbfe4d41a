-- snapshot_load: reads the whole data of one service type, if it still has the given version.
--
-- KEYS[1]    meta      the service type's revision
-- KEYS[2]    members   registration|process -> lease deadline
-- KEYS[3..]  hashes    registration:<id> of each id; then breaker:<name>, permits:<name> and
--                      callers:<name> of each name
-- ARGV[1]    epoch     the epoch at which the caller read the list of ids and names
-- ARGV[2]    revision  the revision at which the caller read it
-- ARGV[3]    ids       how many of the hashes are registrations
-- Returns    {"loaded", now, {member, deadline, …}, {field, value, …}, …}
--                             one inner list for each key after meta; {"damaged", error} is the
--                             inner list of a key of another type
--            {"moved", now}   the version is another one: call snapshot_sync again
local clock = require("lib.clock")
local changes = require("lib.changes")

local now = string.format("%.0f", clock.now())
local version = changes.version(KEYS[1])
if version[1] ~= ARGV[1] or version[2] ~= ARGV[2] then
  return { "moved", now }
end

local function read(...)
  local flat = redis.pcall(...)
  return flat.err and { "damaged", flat.err } or flat
end

local reply = { "loaded", now, read("ZRANGE", KEYS[2], 0, -1, "WITHSCORES") }
for i = 3, #KEYS do
  local place = i - 2 - tonumber(ARGV[3])
  if place > 0 and place % 3 ~= 1 then
    reply[#reply + 1] = read("ZRANGE", KEYS[i], 0, -1, "WITHSCORES")
  else
    reply[#reply + 1] = read("HGETALL", KEYS[i])
  end
end
return reply
