-- snapshot_load: reads one service type whole, or says that the caller's list of it is old.
--
-- KEYS[1]    meta      the service type's revision
-- KEYS[2]    members   registration|process -> lease deadline
-- KEYS[3..]  hashes    provider:<id> of each id; then breaker:<n>, permits:<n> and callers:<n> of
--                      each name
-- ARGV[1]    epoch     that the list of ids and names was read at
-- ARGV[2]    revision  that the list of ids and names was read at
-- ARGV[3]    ids       how many of the hashes are providers
-- Returns   {"loaded", now, {member, deadline, …}, {field, value, …}, …}  one inner list for each
--                     key; {"damaged", error} as the inner list of a key of another type
--           {"moved", now}  it has changed since: sync again
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
