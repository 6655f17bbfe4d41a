-- registration_register: writes one registration and makes a process its member.
--
-- KEYS[1]    registrations  registration id -> order of registration
-- KEYS[2]    registration   the registration record
-- KEYS[3]    members        registration|process -> lease deadline
-- KEYS[4]    events         the service type's stream
-- KEYS[5]    meta           the service type's revision
-- ARGV[1]    id             the registration id
-- ARGV[2]    name           the provider's name
-- ARGV[3]    process        the registering process
-- ARGV[4]    lease_ms       how long the membership lasts without being renewed
-- ARGV[5]    retention_ms   how long the data outlives the last lease
-- ARGV[6]    mode           "register": the newest settings win; "rejoin": a process joins again
--                           after an outage and leaves an existing record as it is
-- ARGV[7..]  record         field, value, …: the settings
-- Returns    {"registered", deadline}  a new registration
--            {"joined", deadline}      one more member of an existing registration
--            {"changed", deadline, before, registered_by, field, …}
--                                      the record differed; before: its old values as JSON; then
--                                      the process that wrote them, and the changed fields
-- Events     provider_registered, provider_changed, member_joined
local clock = require("lib.clock")
local changes = require("lib.changes")
local members = require("lib.members")

local id, name, process = ARGV[1], ARGV[2], ARGV[3]
local lease, retention = tonumber(ARGV[4]), tonumber(ARGV[5])
local overwrites = ARGV[6] == "register"
local now = clock.now()

-- The existing record, or nil if there is none or it cannot be read.
local function read()
  local flat = redis.pcall("HGETALL", KEYS[2])
  if flat.err then
    redis.call("DEL", KEYS[2])
    return nil
  end
  local record = {}
  for i = 1, #flat, 2 do
    record[flat[i]] = flat[i + 1]
  end
  return #flat > 0 and record or nil
end

local function differences(record)
  local changed, before = {}, {}
  for i = 7, #ARGV, 2 do
    if record[ARGV[i]] ~= ARGV[i + 1] then
      changed[#changed + 1] = ARGV[i]
      before[ARGV[i]] = record[ARGV[i]] or ""
    end
  end
  return changed, before
end

local function write()
  redis.call("HSET", KEYS[2], unpack(ARGV, 7))
  local at = string.format("%.0f", now)
  redis.call("HSET", KEYS[2], "registered_by", process, "registered_at", at)
end

local function publish(kind, reason, details)
  changes.publish(KEYS[4], KEYS[5], now, lease + retention, {
    kind = kind,
    provider = name,
    actor = process,
    reason = reason,
    details = { "id", id, unpack(details) },
  })
end

members.repair(KEYS[1])
members.repair(KEYS[3])
changes.repair(KEYS[5])
local listed = redis.call("ZSCORE", KEYS[1], id)
local absent = not redis.call("ZSCORE", KEYS[3], "|" .. process)
local joins = not redis.call("ZSCORE", KEYS[3], id .. "|" .. process)
local record = read()
local deadline = string.format("%.0f", now + lease)
local reply = { "joined", deadline }

if not listed then
  redis.call("ZADD", KEYS[1], members.next_order(KEYS[1], KEYS[5]), id)
end
if not record or (overwrites and not listed) then
  write()
end
if not listed or not record then
  publish("provider_registered", "", {})
  reply[1] = "registered"
else
  local changed, before = differences(record)
  local by = record.registered_by or ""
  if overwrites and #changed > 0 then
    write()
    local old = cjson.encode(before)
    local details = { "fields", table.concat(changed, " "), "before", old, "before_actor", by }
    publish("provider_changed", "registered with other settings", details)
    reply = { "changed", deadline, old, by, unpack(changed) }
  elseif joins then
    changes.append(KEYS[4], "member_joined", name, process, "", { "id", id })
  end
end
if changes.version(KEYS[5])[1] == "" then
  changes.bump(KEYS[5], now)
end
redis.call("ZADD", KEYS[3], deadline, id .. "|" .. process, deadline, "|" .. process)
if absent then
  members.adopt_orphans(KEYS[1], KEYS[3], deadline)
end
for _, key in ipairs(KEYS) do
  changes.keep(key, lease + retention)
end
return reply
